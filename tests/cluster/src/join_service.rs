//! `proto.JoinService`, as the proxy serves it: a challenge, one request, certificates. Depends on tonic and on [`crate::issue`].
//! Source: protocol facts, section 2.5.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::error::Error;
use crate::faults::{StreamFault, Verdict};
use crate::issue::{Join, Proof};
use crate::log::Outcome;
use crate::proto::{
    Certs, RegisterResponse, RegisterUsingAzureMethodRequest, RegisterUsingIamMethodRequest,
    RegisterUsingTokenRequest,
};
use crate::server::Peer;
use crate::{Failure, Shared, method};

/// A call that is in the log, and what becomes of it.
pub(crate) struct Opened {
    pub(crate) place: usize,
    pub(crate) verdict: Verdict,
}

/// Serves one stream. What becomes of it is logged when it ends.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    opened: Opened,
    request: Request<Incoming>,
) -> Response<Body> {
    match request.uri().path() {
        method::REGISTER_USING_IAM => {
            serve::<RegisterUsingIamMethodRequest>(shared, peer, opened, request).await
        }
        method::REGISTER_USING_AZURE => {
            serve::<RegisterUsingAzureMethodRequest>(shared, peer, opened, request).await
        }
        path => {
            let text = format!("the development cluster does not serve {path}");
            shared.log.end(opened.place, Outcome::Refused(Code::Unimplemented, text.clone()));
            Status::unimplemented(text).into_http()
        }
    }
}

/// A request of one of the methods.
trait Register: Message + Default + std::fmt::Debug + 'static {
    /// A new challenge, as the method spells it.
    fn challenge() -> Result<String, Error>;
    fn common(&mut self) -> RegisterUsingTokenRequest;
    fn proof<'a>(&'a self, challenge: &'a str) -> Proof<'a>;
}

impl Register for RegisterUsingIamMethodRequest {
    fn challenge() -> Result<String, Error> {
        random::<32>().map(|bytes| BASE64_STANDARD_NO_PAD.encode(bytes))
    }

    fn common(&mut self) -> RegisterUsingTokenRequest {
        self.register_using_token_request.take().unwrap_or_default()
    }

    fn proof<'a>(&'a self, challenge: &'a str) -> Proof<'a> {
        Proof::Aws { request: &self.sts_identity_request, challenge }
    }
}

impl Register for RegisterUsingAzureMethodRequest {
    fn challenge() -> Result<String, Error> {
        random::<24>().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    fn common(&mut self) -> RegisterUsingTokenRequest {
        self.register_using_token_request.take().unwrap_or_default()
    }

    fn proof<'a>(&'a self, challenge: &'a str) -> Proof<'a> {
        Proof::Azure { document: &self.attested_data, access_token: &self.access_token, challenge }
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Crypto("find a challenge"))?;
    Ok(bytes)
}

async fn serve<Q: Register>(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    opened: Opened,
    request: Request<Incoming>,
) -> Response<Body> {
    let exchange = Exchange(Some((shared, peer, opened)), std::marker::PhantomData::<Q>);
    Grpc::new(ProstCodec::<RegisterResponse, Q>::new()).streaming(exchange, request).await
}

type Answers = Sender<Result<RegisterResponse, Status>>;

struct Exchange<Q>(Option<(Arc<Shared>, Arc<Peer>, Opened)>, std::marker::PhantomData<Q>);

impl<Q: Register> StreamingService<Q> for Exchange<Q> {
    type Response = RegisterResponse;
    type ResponseStream = ReceiverStream<Result<RegisterResponse, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Q>>) -> Self::Future {
        let (answers, stream) = channel(1);
        if let Some((shared, peer, opened)) = self.0.take() {
            tokio::spawn(talk(shared, peer, opened, request.into_inner(), answers));
        }
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(stream))))
    }
}

/// One exchange to its end. A caller that is gone ends it, too.
async fn talk<Q: Register>(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    Opened { place, verdict }: Opened,
    mut requests: Streaming<Q>,
    answers: Answers,
) {
    let joined = match &verdict {
        Verdict::Stream(StreamFault::EndAtOnce) => Ok(None),
        Verdict::Refuse(failure) => {
            let asked = exchange(&shared, place, &verdict, &mut requests, &answers).await;
            asked.and(Err(failure.clone()))
        }
        _ => exchange(&shared, place, &verdict, &mut requests, &answers).await,
    };
    if matches!(verdict, Verdict::Lose) {
        shared.log.end(place, Outcome::ReplyLost);
        peer.cut.notify_one();
        return;
    }
    let (outcome, answer) = match joined {
        Ok(None) => (Outcome::ReplyLost, None),
        Ok(Some(certs)) => {
            let certs = RegisterResponse { certs: Some(certs), ..RegisterResponse::default() };
            (Outcome::Answered, Some(Ok(certs)))
        }
        Err(failure) => (Outcome::Refused(failure.code, failure.message.clone()), Some(Err(failure.into()))),
    };
    shared.log.end(place, outcome);
    if let Some(answer) = answer {
        let _ = answers.send(answer).await;
    }
}

/// The certificates; none where the stream is to end without.
async fn exchange<Q: Register>(
    shared: &Shared,
    place: usize,
    verdict: &Verdict,
    requests: &mut Streaming<Q>,
    answers: &Answers,
) -> Result<Option<Certs>, Failure> {
    let challenge = match verdict {
        Verdict::Stream(StreamFault::Challenge(text)) => text.clone(),
        _ => Q::challenge()?,
    };
    let first = RegisterResponse { challenge: challenge.clone(), ..RegisterResponse::default() };
    let _ = answers.send(Ok(first)).await;
    let gone = || Failure::new(Code::Cancelled, "the caller is gone");
    let mut request = requests.message().await.ok().flatten().ok_or_else(gone)?;
    shared.log.received(place, Bytes::from(request.encode_to_vec()), format!("{request:?}"));
    if matches!(verdict, Verdict::Stream(StreamFault::EndAfterChallenge) | Verdict::Refuse(_)) {
        return Ok(None);
    }
    let common = request.common();
    if common.token.is_empty() || common.role != "Bot" {
        return Err(Failure::new(Code::InvalidArgument, "missing parameter Token, or a role other than Bot"));
    }
    let expires = common.expires.map(SystemTime::try_from).transpose();
    let expires =
        expires.map_err(|_| Failure::new(Code::InvalidArgument, "expires: not a time of this world"))?;
    let join = Join {
        token: &common.token,
        proof: request.proof(&challenge),
        host: &common.node_name,
        ssh_key: &common.public_ssh_key,
        expires,
    };
    shared.join(&join).map(Some)
}
