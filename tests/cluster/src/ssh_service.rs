//! `teleport.transport.v1.TransportService/ProxySSH`: connects clients to nodes, and copies bytes in both directions. Does not know
//! SSH.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::call_log::Outcome;
use crate::connection::Connection;
use crate::error::ApiError;
use crate::faults::CallAction;
use crate::proto::transport_v1::proxy_ssh_request::Frame as FromClient;
use crate::proto::transport_v1::proxy_ssh_response::Frame as ToClient;
use crate::proto::transport_v1::{ClusterDetails, Frame, ProxySshRequest, ProxySshResponse, TargetHost};
use crate::shared::Shared;

/// The largest number of bytes in one message, as on a real server.
const MAX_FRAME: usize = 16 * 1024;

type Responses = Sender<Result<ProxySshResponse, Status>>;

/// Serves one stream, which is the call `index` of the log.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    index: usize,
    action: CallAction,
    request: Request<Incoming>,
) -> Response<Body> {
    let service = Service(Some((shared, connection, index, action)));
    let codec = ProstCodec::<ProxySshResponse, ProxySshRequest>::new();
    Grpc::new(codec).streaming(service, request).await
}

/// The tonic service for one stream.
struct Service(Option<(Arc<Shared>, Arc<Connection>, usize, CallAction)>);

impl StreamingService<ProxySshRequest> for Service {
    type Response = ProxySshResponse;
    type ResponseStream = ReceiverStream<Result<ProxySshResponse, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProxySshRequest>>) -> Self::Future {
        let (responses, response_stream) = channel(1);
        if let Some((shared, connection, index, action)) = self.0.take() {
            tokio::spawn(async move {
                let mut requests = request.into_inner();
                match connect(&shared, &connection, index, action, &mut requests).await {
                    Ok(node) => {
                        shared.log.end(index, Outcome::Succeeded);
                        forward(&shared, requests, node, responses).await;
                    }
                    Err(error) => {
                        shared.log.end(index, Outcome::Refused(error.code, error.message.clone()));
                        // The client may have disconnected.
                        let _ = responses.send(Err(error.into())).await;
                    }
                }
            });
        }
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(response_stream))))
    }
}

/// Connects to the node in the first message.
async fn connect(
    shared: &Shared,
    connection: &Connection,
    index: usize,
    action: CallAction,
    requests: &mut Streaming<ProxySshRequest>,
) -> Result<TcpStream, ApiError> {
    let disconnected = |_| ApiError::new(Code::Cancelled, "the client has disconnected");
    let first = requests.message().await.map_err(disconnected)?;
    let target = first.and_then(|first| first.dial_target);
    let target =
        target.ok_or_else(|| ApiError::invalid_argument("first frame must contain a dial target"))?;
    let TargetHost { host_port, cluster, login_name } = &target;
    let summary = format!("{host_port} cluster={cluster} login={login_name}");
    shared.log.set_request(index, prost::Message::encode_to_vec(&target).into(), summary);
    if let CallAction::Refuse(error) = action {
        return Err(error);
    }
    connection.admit(shared)?;
    let node = TcpStream::connect(shared.node(&target)?).await;
    let node = node.map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?;
    // A failure only makes the connection slower.
    let _ = node.set_nodelay(true);
    Ok(node)
}

/// Copies bytes until the node ends the connection, or the client disconnects.
async fn forward(
    shared: &Shared,
    requests: Streaming<ProxySshRequest>,
    node: TcpStream,
    responses: Responses,
) {
    let (from_node, to_node) = node.into_split();
    let details = Some(ClusterDetails { fips_enabled: false });
    if responses.send(Ok(ProxySshResponse { details, frame: None })).await.is_err() {
        return;
    }
    let passes_end = shared.major_version() > 15;
    tokio::select! {
        () = copy_to_client(from_node, &responses) => {}
        () = copy_to_node(requests, to_node, passes_end) => {}
        () = responses.closed() => {}
    }
}

async fn copy_to_client(mut node: OwnedReadHalf, responses: &Responses) {
    let mut buffer = vec![0; MAX_FRAME];
    while let Ok(length @ 1..) = node.read(&mut buffer).await {
        let frame = Some(ToClient::Ssh(Frame { payload: buffer[..length].to_vec() }));
        if responses.send(Ok(ProxySshResponse { details: None, frame })).await.is_err() {
            return;
        }
    }
}

/// Returns if the connection to the node fails. Waits forever after the end of the client's messages.
async fn copy_to_node(mut requests: Streaming<ProxySshRequest>, mut node: OwnedWriteHalf, passes_end: bool) {
    while let Ok(Some(request)) = requests.message().await {
        if let Some(FromClient::Ssh(Frame { payload })) = request.frame
            && node.write_all(&payload).await.is_err()
        {
            return;
        }
    }
    // As observed, a server of version 15 does not tell the node.
    if passes_end {
        let _ = node.shutdown().await;
    }
    std::future::pending::<()>().await;
}

impl Shared {
    /// Returns the address of the node with this name, whatever the port is.
    fn node(&self, target: &TargetHost) -> Result<SocketAddr, ApiError> {
        let state = self.state();
        if target.cluster != self.name && !state.leaves.contains_key(&target.cluster) {
            return Err(ApiError::not_found(format!("cluster {:?} is not found", target.cluster)));
        }
        let name = target.host_port.rsplit_once(':').map(|(name, _)| name);
        let node = name.and_then(|name| state.nodes.get(name)).copied();
        node.ok_or_else(|| {
            let message = "failed to dial target host\n\tdirect dialing to nodes not found in inventory is not supported";
            ApiError::new(Code::Unavailable, message)
        })
    }
}
