//! `tbot telemetry preview`: the whole request of a start, headers included, and where each property of its event comes
//! from. Opens no socket, and works while telemetry is off.

use std::io::Write;

use tbot::config::{Effective, Purpose};
use tbot::event::{Built, Property, Provenance, Rules, Verdict};
use tbot::pointer::Pointer;

use crate::World;
use crate::cli::{Global, Run};
use crate::configuration::{Configuration, Places};
use crate::exit::Failure;
use crate::request::{Request, describe};
use crate::telemetry::{decide, refuse};

pub(crate) fn preview(global: &Global, run: &Run, world: &mut World<'_>) -> Result<(), Failure> {
    let configuration = Configuration::of_run(global, run, Purpose::Start, world)?;
    let Some(effective) = configuration.effective() else { return refuse(configuration, world) };
    let rules = Rules::embedded().map_err(|error| Failure::Build(error.to_string()))?;
    let distinct_id = (world.distinct_id)();
    let (request, built) = describe(&rules, effective, &world.environment, &distinct_id)
        .map_err(|error| Failure::Usage(format!("there is no request to show: {error}")))?;
    let decision = decide(global, &configuration, world);

    let output = &mut *world.output;
    let would = if decision.on { "sends" } else { "would send, were it on," };
    writeln!(output, "anonymous telemetry is {decision}")?;
    writeln!(output, "`tbot start` {would} this one request; nothing is sent now\n")?;
    write_request(&request, output)?;
    writeln!(output, "\ndistinctId is an example: it is made anew at every start, and kept nowhere\n")?;
    write_properties(&built, effective, &configuration.places(), output)?;
    Ok(())
}

fn write_request(request: &Request, output: &mut dyn Write) -> Result<(), Failure> {
    writeln!(output, "{} {}", request.method, request.endpoint)?;
    for (name, value) in &request.headers {
        writeln!(output, "{name}: {value}")?;
    }
    writeln!(output)?;
    output.write_all(&request.body)?;
    writeln!(output, "\n")?;
    match request.endpoint.masked_proxy() {
        Some(proxy) => writeln!(output, "it goes through the proxy {proxy}")?,
        None => writeln!(output, "it goes through no proxy")?,
    }
    Ok(())
}

fn write_properties(
    built: &Built,
    effective: &Effective,
    places: &Places<'_>,
    output: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(output, "each property of the event, and where it comes from:\n")?;
    for Property { name, value, provenance: from } in &built.properties {
        match value {
            None => writeln!(output, "{name} is left out")?,
            Some(serde_json::Value::String(text)) => writeln!(output, "{name} = {text}")?,
            Some(value) => writeln!(output, "{name} = {value}")?,
        }
        writeln!(output, "    {}", provenance(from, effective, places))?;
    }
    Ok(())
}

fn provenance(provenance: &Provenance, effective: &Effective, places: &Places<'_>) -> String {
    let key = |pointer: &Pointer| pointer.as_str().trim_start_matches('/').replace('/', ".");
    match provenance {
        Provenance::Config(pointers) => {
            let each = pointers
                .iter()
                .map(|pointer| format!("{} ({})", places.of(effective, pointer), key(pointer)));
            each.collect::<Vec<_>>().join(", ")
        }
        Provenance::Absent(pointers) => {
            let keys: Vec<_> = pointers.iter().map(key).collect();
            format!("default (no {})", keys.join(", no "))
        }
        Provenance::Env { variable, verdict } => match verdict {
            Verdict::Unset => format!("{variable} (not set)"),
            Verdict::Listed => variable.clone(),
            Verdict::Unlisted => format!("{variable} (not a listed value: it is not sent)"),
            Verdict::Alone => format!("{variable} (not sent without a listed helper)"),
        },
        Provenance::Build => "this build".to_owned(),
    }
}
