//! `tbot keypair create`: creates a key pair before the bot joins, and prints what to set in the join token.

use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};
use tbot::agent::{AgentOptions, BoundKeypair, Clock, Randomness};
use tbot::config::{Config, DEFAULT_STORAGE_PATH};
use tbot::untrusted::escape;
use tokio::runtime::Builder;

use crate::cli::{GlobalArgs, KeypairCommand, KeypairCreateArgs, KeypairFormat};
use crate::context::Context;
use crate::destination_uri;
use crate::exit::Failure;
use crate::flag_value::{nonempty, proxy_server};
use crate::log;
use crate::overrides::{is_debug, refuse_fips};
use crate::replace_file::{create_file, replace_file};

pub(crate) fn keypair(
    global: &GlobalArgs,
    command: &KeypairCommand,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let KeypairCommand::Create(args) = command;
    refuse_fips(global)?;
    let config = config(global, args, cx)?;
    let static_key_path = nonempty(args.static_key_path.as_deref());
    if let Some(path) = static_key_path.filter(|_| !args.overwrite)
        && let Some(existing) = read_static_key(path)?
    {
        return print(args, &existing, cx);
    }
    let created = {
        let _log = log::init(global.log_format, is_debug(global, &cx.environment)?)?;
        let options = AgentOptions {
            environment: cx.environment.clone(),
            clock: Clock::system(),
            randomness: Randomness::system(),
            command: cx.command_path.clone(),
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Process)?;
        let created = runtime.block_on(async {
            if args.is_static {
                BoundKeypair::new_static(&config, &options).await
            } else {
                BoundKeypair::in_storage(&config, &options, args.overwrite).await
            }
        });
        runtime.shutdown_background();
        created.map_err(Failure::Keypair)?
    };
    if let Some(path) = static_key_path {
        let written = write_private_key(path, created.private_pem(), args.overwrite);
        written.map_err(|source| Failure::Unwritable { name: path.display().to_string(), source })?;
    }
    print(args, &created, cx)
}

/// Returns a configuration with the proxy and the storage of the arguments.
fn config(global: &GlobalArgs, args: &KeypairCreateArgs, cx: &Context<'_>) -> Result<Config, Failure> {
    let proxy = proxy_server(args.proxy_server.as_deref(), &cx.environment)?
        .ok_or_else(|| Failure::Usage("no proxy address: set --proxy-server or TELEPORT_PROXY".to_owned()))?;
    let storage = nonempty(args.storage.as_deref()).unwrap_or(DEFAULT_STORAGE_PATH);
    let storage =
        destination_uri::parse(storage).map_err(|error| Failure::Usage(format!("--storage: {error}")))?;
    if storage["type"] == "memory" && !args.is_static {
        let message =
            "--storage: a key pair in memory is lost when this command ends: use a directory or --static";
        return Err(Failure::Usage(message.to_owned()));
    }
    let config = json!({
        "version": "v2",
        "proxy_server": proxy,
        "insecure": global.insecure,
        "storage": storage,
    });
    serde_json::from_value(config).map_err(|error| Failure::Build(error.into()))
}

/// Returns the key pair in a file, or `None` if the file does not exist.
fn read_static_key(path: &Path) -> Result<Option<BoundKeypair>, Failure> {
    let name = escape(&path.to_string_lossy()).into_owned();
    match fs::read_to_string(path) {
        Ok(pem) => BoundKeypair::from_static_pem(&pem).map(Some).map_err(|_| {
            Failure::Usage(format!(
                "{name} exists, but no bot can join with it: use --overwrite to replace it"
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::Unreadable { name, source }),
    }
}

/// Writes a private key to a file that only its owner can read. An old key remains until the new one is complete.
fn write_private_key(path: &Path, pem: &str, overwrite: bool) -> io::Result<()> {
    if overwrite {
        replace_file(path, pem.as_bytes(), 0o600)
    } else {
        create_file(path, pem.as_bytes(), 0o600)
    }
}

fn print(args: &KeypairCreateArgs, created: &BoundKeypair, cx: &mut Context<'_>) -> Result<(), Failure> {
    if !created.is_new() {
        writeln!(
            cx.stderr,
            "note: the {} already contains this key pair; use --overwrite to replace it",
            if args.is_static { "file" } else { "storage" }
        )?;
    }
    let public_key = created.public_key().map_err(Failure::Keypair)?;
    let private_key = (args.is_static && nonempty(args.static_key_path.as_deref()).is_none())
        .then(|| created.private_variable());
    match args.format {
        KeypairFormat::Json => {
            let mut keys = json!({ "public_key": public_key });
            if let Some(private_key) = private_key {
                keys["private_key"] = Value::from(private_key);
            }
            writeln!(cx.stdout, "{keys}")?;
        }
        KeypairFormat::Text => {
            writeln!(
                cx.stdout,
                "Public key, for spec.bound_keypair.onboarding.initial_public_key of the token:\n\n{public_key}\n"
            )?;
            if let Some(private_key) = private_key {
                writeln!(cx.stdout, "Private key, for TBOT_BOUND_KEYPAIR_STATIC_KEY:\n\n{private_key}\n")?;
            }
            write!(cx.stdout, "{}", example_token(&public_key, args.is_static))?;
        }
    }
    Ok(())
}

/// Returns a token that registers the key pair. A static key has no join state, so it needs the mode `insecure`.
fn example_token(public_key: &str, is_static: bool) -> String {
    let recovery =
        if is_static { "recovery: {mode: insecure}" } else { "recovery: {mode: standard, limit: 1}" };
    format!(
        "Example of a token, for tctl create:\n\n\
         kind: token\n\
         version: v2\n\
         metadata:\n  name: example\n\
         spec:\n  \
           roles: [Bot]\n  \
           bot_name: example\n  \
           join_method: bound_keypair\n  \
           bound_keypair:\n    \
             onboarding:\n      \
               initial_public_key: {public_key}\n    \
             {recovery}\n"
    )
}
