//! `tbot init`: root prepares the directory of an output for the user that the agent runs as.

use std::path::Path;

use serde_json::json;
use tbot::agent::{DirectoryUsers, error_line, prepare_directory};
use tbot::config::{AclMode, Config, Purpose};
use tbot::untrusted::escape;

use crate::cli::{GlobalArgs, InitArgs};
use crate::configuration::{Configuration, report_invalid};
use crate::context::Context;
use crate::directory_output::directory_output;
use crate::exit::Failure;
use crate::flag_value::nonempty;
use crate::service_overrides::one_identity;

pub(crate) fn init(global: &GlobalArgs, args: &InitArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    if let Some(path) = nonempty(args.destination_dir.as_deref()) {
        let config = json!({ "version": "v2", "services": one_identity(path)? });
        let config = serde_json::from_value(config).map_err(|error| Failure::Build(error.into()))?;
        return prepare(&config, args, cx);
    }
    let configuration = Configuration::from_inputs(global, Purpose::Validate, cx)?;
    let Some(effective) = configuration.effective() else { return report_invalid(configuration, cx) };
    prepare(effective.config(), args, cx)
}

fn prepare(config: &Config, args: &InitArgs, cx: &mut Context<'_>) -> Result<(), Failure> {
    let InitArgs {
        bot_user,
        reader_user,
        owner,
        init_dir,
        destination_dir: _,
        clean,
        auth_server: _,
        proxy_server: _,
    } = args;
    let (service, directory) = directory_output(config, nonempty(init_dir.as_deref()), "--init-dir")?;
    let owner = owner.as_deref().map(user_and_group).transpose()?;
    let bot = bot_user.as_deref().or(owner.map(|(user, _)| user));
    let bot = bot.ok_or_else(|| {
        let message = "name the user that the agent runs as with --bot-user: unlike Teleport's tbot, this one does not take \
                       the current user, which is root here in most cases";
        Failure::Usage(message.to_owned())
    })?;
    let needs_acls = reader_user.is_some() || owner.is_some_and(|(user, _)| user != bot);
    if directory.acls == Some(AclMode::Off) && needs_acls {
        let message = "`acls` of the destination is off, so only the owner can have access: remove `acls`, or \
                       --reader-user and --owner";
        return Err(Failure::Usage(message.to_owned()));
    }
    let path = directory.path.as_str();
    let shown = escape(path).into_owned();
    if Path::new(path).parent().is_some_and(|parent| parent != Path::new("") && !parent.is_dir()) {
        let message = format!("the directory that contains {shown} does not exist: create it first");
        return Err(Failure::Usage(message));
    }
    let users = DirectoryUsers { bot, reader: reader_user.as_deref(), owner };
    let prepared = prepare_directory(directory, &service.file_names(), users, *clean)
        .map_err(|error| Failure::Prepare { directory: path.to_owned(), error })?;
    for name in &prepared.removed {
        writeln!(cx.stdout, "removed {shown}/{}", escape(name))?;
    }
    for name in &prepared.unexpected {
        writeln!(cx.stderr, "warning: {shown}/{} does not belong to this output", escape(name))?;
    }
    if let Some(error) = &prepared.acl_error {
        writeln!(
            cx.stderr,
            "warning: the reader gets no access: {}",
            error_line(error, error.hint().as_ref())
        )?;
    }
    Ok(writeln!(cx.stdout, "prepared {shown} for {}", escape(bot))?)
}

fn user_and_group(owner: &str) -> Result<(&str, &str), Failure> {
    let parts = owner.split_once(':').filter(|(user, group)| !user.is_empty() && !group.is_empty());
    parts.ok_or_else(|| Failure::Usage("--owner must have the form USER:GROUP".to_owned()))
}
