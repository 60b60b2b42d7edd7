//! The bot's own user, which servers up to 15 keep the count of renewals on: `GetCurrentUser`, for this one number.

use std::collections::BTreeMap;

use prost::Message;

use super::{ApiError, AuthClient, unary};
use crate::agent::proto::Empty;

const GET_CURRENT_USER: &str = "/proto.AuthService/GetCurrentUser";
/// The label of a bot's user that holds the generation of its newest certificate.
const GENERATION: &str = "teleport.internal/bot-generation";

/// `types.UserV2`, down to the labels.
#[derive(Clone, PartialEq, Message)]
struct User {
    #[prost(message, optional, tag = "4")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(btree_map = "string, string", tag = "5")]
    labels: BTreeMap<String, String>,
}

impl AuthClient {
    /// The generation that the server has counted for this bot; none where it keeps the count elsewhere. Presents nothing.
    pub(crate) async fn counted_generation(&self) -> Result<Option<u64>, ApiError> {
        let user: User = unary(&self.channel, GET_CURRENT_USER, Empty {}).await?;
        let labels = user.metadata.map(|metadata| metadata.labels).unwrap_or_default();
        Ok(labels.get(GENERATION).and_then(|count| count.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_where_a_server_writes_it() {
        // The beginning of a real server's answer, with the bot's name and the count changed.
        let mut message = b"\x0a\x04user\x1a\x02v2\x22\x30\x0a\x05bot-a".to_vec();
        message.extend(b"\x2a\x27\x0a\x20teleport.internal/bot-generation\x12\x035\x30\x30");
        let user = User::decode(message.as_slice()).unwrap();
        assert_eq!(user.metadata.unwrap().labels.get(GENERATION).map(String::as_str), Some("500"));
    }
}
