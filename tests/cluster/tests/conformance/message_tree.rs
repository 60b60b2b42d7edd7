//! Parses protobuf without a schema into a tree of numbered fields, so that recorded bytes can be compared with ours
//! independently of the declarations under test. The caller specifies which fields are messages, because the encoding
//! does not distinguish them from bytes.

use std::collections::BTreeSet;

use prost::bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// A message: the path, number and value of each field.
#[derive(Debug, PartialEq)]
pub(crate) struct MessageTree(Vec<(String, u32, Value)>);

#[derive(Debug, PartialEq)]
enum Value {
    Varint(u64),
    Bytes(Vec<u8>),
    Message(MessageTree),
}

impl MessageTree {
    /// Parses a message. `messages` are the paths of the fields that are messages, such as `5.2.14`.
    pub(crate) fn parse(bytes: &[u8], messages: &[&str]) -> Self {
        Self::parse_at(bytes, messages, "")
    }

    fn parse_at(mut bytes: &[u8], messages: &[&str], parent: &str) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let (number, wire_type) = decode_key(&mut bytes).unwrap();
            let path = if parent.is_empty() { number.to_string() } else { format!("{parent}.{number}") };
            let value = match wire_type {
                WireType::Varint => Value::Varint(decode_varint(&mut bytes).unwrap()),
                WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut bytes).unwrap()).unwrap();
                    let content = bytes.copy_to_bytes(length);
                    if messages.contains(&path.as_str()) {
                        Value::Message(Self::parse_at(&content, messages, &path))
                    } else {
                        Value::Bytes(content.to_vec())
                    }
                }
                other => panic!("unexpected wire type {other:?} of field {path}"),
            };
            fields.push((path, number, value));
        }
        Self(fields)
    }

    /// Returns the paths of all fields that are present.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        for (path, _, value) in &self.0 {
            paths.insert(path.clone());
            if let Value::Message(message) = value {
                paths.extend(message.paths());
            }
        }
        paths
    }

    /// Returns the message without the fields at `paths`.
    pub(crate) fn without(mut self, paths: &BTreeSet<String>) -> Self {
        self.0.retain(|(path, ..)| !paths.contains(path));
        for (_, _, value) in &mut self.0 {
            if let Value::Message(message) = value {
                *message = Self(std::mem::take(&mut message.0)).without(paths);
            }
        }
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (_, number, value) in &self.0 {
            let content = match value {
                Value::Varint(varint) => {
                    encode_key(*number, WireType::Varint, &mut bytes);
                    encode_varint(*varint, &mut bytes);
                    continue;
                }
                Value::Bytes(content) => content.clone(),
                Value::Message(message) => message.encode(),
            };
            encode_key(*number, WireType::LengthDelimited, &mut bytes);
            encode_varint(content.len() as u64, &mut bytes);
            bytes.extend(content);
        }
        bytes
    }
}
