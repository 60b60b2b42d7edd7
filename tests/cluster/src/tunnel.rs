//! Forwards connections to applications and databases. The client's certificate names the resource; the bytes are copied to the
//! server that was set for it.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::byte_stream::BoxedByteStream;
use crate::call_log::{Call, Outcome};
use crate::connection::Connection;
use crate::error::ApiError;
use crate::faults::CallAction;
use crate::identity::Routes;
use crate::method;
use crate::resources::{Resource, ResourceKind};
use crate::shared::Shared;

/// Forwards a connection until both sides have ended theirs. It ends immediately if the client may not use the resource, or if
/// there is no server.
pub(crate) async fn forward(
    shared: &Shared,
    connection: &Connection,
    mut client: TlsStream<BoxedByteStream>,
) {
    let protocol = client.get_ref().1.alpn_protocol().unwrap_or_default();
    let protocol = String::from_utf8_lossy(protocol).into_owned();
    let routes = connection.caller.as_ref().map(|caller| caller.routes.clone()).unwrap_or_default();
    let index = shared.log.begin(Call {
        method: method::TUNNEL.to_owned(),
        path: String::new(),
        user: connection.caller.as_ref().ok().map(|caller| caller.username.clone()),
        summary: format!("{protocol} {}", describe(&routes)),
        request: Bytes::new(),
        headers: Vec::new(),
        outcome: Outcome::Pending,
    });
    if let CallAction::Refuse(error) = shared.faults.before_call(method::TUNNEL).await {
        return shared.log.end(index, Outcome::Refused(error.code, error.message));
    }
    let server = match select(shared, connection, &routes, &protocol) {
        Ok(resource) => match resource.server {
            Some(server) => {
                TcpStream::connect(server).await.map_err(|error| ApiError::not_found(error.to_string()))
            }
            None => Err(ApiError::not_found("no server")),
        },
        Err(error) => Err(error),
    };
    match server {
        Ok(mut server) => {
            shared.log.end(index, Outcome::Succeeded);
            // A failure only makes the connection slower.
            let _ = server.set_nodelay(true);
            // Either side may end at any time.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        Err(error) => shared.log.end(index, Outcome::Refused(error.code, error.message)),
    }
}

fn describe(routes: &Routes) -> String {
    match (&routes.database, &routes.app) {
        (Some(database), _) => {
            format!("{} user={} database={}", database.service_name, database.username, database.database)
        }
        (None, Some(app)) => app.name.clone(),
        (None, None) => "nothing".to_owned(),
    }
}

/// Returns the resource in the client's certificate, if the client may use it with this protocol.
fn select(
    shared: &Shared,
    connection: &Connection,
    routes: &Routes,
    protocol: &str,
) -> Result<Resource, ApiError> {
    connection.admit(shared)?;
    let state = shared.state();
    let find = |is_database, name: &str| {
        let found = state.resources.find(is_database, name).cloned();
        found.ok_or_else(|| ApiError::not_found(format!("{name} not found")))
    };
    let resource = match (&routes.database, &routes.app) {
        (Some(database), _) => find(true, &database.service_name)?,
        (None, Some(app)) => find(false, &app.name)?,
        (None, None) => return Err(ApiError::access_denied()),
    };
    let expected = match &resource.kind {
        ResourceKind::Database { protocol } => format!("teleport-{protocol}"),
        ResourceKind::Application { uri, .. } if uri.starts_with("tcp://") => "teleport-tcp".to_owned(),
        ResourceKind::Application { .. } | ResourceKind::Kubernetes => "http/1.1".to_owned(),
    };
    // The web server also serves clients that offer no protocol.
    if expected == protocol || protocol.is_empty() && expected == "http/1.1" {
        Ok(resource)
    } else {
        Err(ApiError::invalid_argument(format!("{} is not served as {protocol}", resource.name)))
    }
}
