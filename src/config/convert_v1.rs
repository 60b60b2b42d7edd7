//! Converts a configuration from version 1 to version 2 of the format: each destination becomes a service. Depends on
//! `v1` and `diagnostic`.

use serde_json::{Map, Value, json};

use super::scalar::OptionalString as _;
use super::v1::{ConfigV1, DestinationV1, DirectoryV1, MemoryV1, TemplateBlockV1, TemplateName, TemplateV1};
use crate::diagnostic::{Code, Diagnostic, Severity, Target};
use crate::pointer::Pointer;

/// The result of a conversion.
pub(super) struct Conversion {
    /// The configuration in version 2 of the format.
    pub(super) value: Value,
    /// Pointers into version 2, each with the pointer into version 1 from which its value comes.
    pub(super) moved: Vec<(Pointer, Pointer)>,
    /// The parts that could not be converted. Pointers refer to version 1.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The templates that cannot be used for the type of their destination. Pointers refer to version 1.
    pub(super) refused: Vec<Pointer>,
}

/// Converts the value of a file, which `config` is deserialized from. Parts that cannot be converted are reported and
/// left out.
pub(super) fn convert(file: &Value, config: &ConfigV1) -> Conversion {
    let mut conversion = Conversion {
        value: json!({ "version": "v2" }),
        moved: Vec::new(),
        diagnostics: Vec::new(),
        refused: Vec::new(),
    };

    for (key, value) in file.as_object().into_iter().flatten() {
        match key.as_str() {
            "version" | "storage" | "destinations" => {}
            "certificate_ttl" => {
                conversion.insert("credential_ttl", value.clone());
                conversion.record_move("/credential_ttl", "/certificate_ttl");
                let message =
                    "`certificate_ttl` becomes `credential_ttl`, which agents support from Teleport 17 on";
                let help = "if an older agent must read the converted file, write `certificate_ttl` in it";
                conversion.diagnostics.push(
                    Diagnostic::new(
                        Code::Deprecated,
                        Target::Key(Pointer::from("/certificate_ttl")),
                        message,
                    )
                    .with_help(help),
                );
            }
            other => conversion.insert(other, value.clone()),
        }
    }
    if let Some(storage) = &config.storage {
        let pointer = Pointer::from("/storage");
        if let Some(destination) =
            conversion.destination(&pointer, storage.directory.as_ref(), storage.memory.as_ref())
        {
            conversion.record_destination(&pointer, &pointer, storage.directory.as_ref());
            conversion.insert("storage", destination);
        }
    }
    if let Some(destinations) = &config.destinations {
        let mut services = Vec::with_capacity(destinations.len());
        for (index, destination) in destinations.iter().enumerate() {
            let from = Pointer::from("/destinations").index(index);
            let to = Pointer::from("/services").index(services.len());
            if let Some(service) = conversion.service(&from, &to, destination) {
                conversion.moved.push((to, from));
                services.push(service);
            }
        }
        conversion.insert("services", Value::Array(services));
        conversion.record_move("/services", "/destinations");
    }
    conversion
}

impl Conversion {
    fn insert(&mut self, key: &str, value: Value) {
        if let Some(map) = self.value.as_object_mut() {
            map.insert(key.to_owned(), value);
        }
    }

    fn record_move(&mut self, to: &str, from: &str) {
        self.moved.push((Pointer::from(to), Pointer::from(from)));
    }

    /// Records where the properties of a destination come from. The long form of a directory has the same keys as
    /// version 2.
    fn record_destination(&mut self, to: &Pointer, from: &Pointer, directory: Option<&DirectoryV1>) {
        match directory {
            Some(DirectoryV1::Path(_)) => {
                self.moved.push((to.clone(), from.clone()));
                self.moved.push((to.key("path"), from.key("directory")));
            }
            Some(DirectoryV1::Block(_)) => self.moved.push((to.clone(), from.key("directory"))),
            None => self.moved.push((to.clone(), from.clone())),
        }
    }

    fn report(&mut self, pointer: Pointer, message: impl Into<String>, help: &str) {
        self.diagnostics.push(
            Diagnostic::new(Code::InvalidV1, Target::Value(pointer), message).with_help(help.to_owned()),
        );
    }

    fn destination(
        &mut self,
        pointer: &Pointer,
        directory: Option<&DirectoryV1>,
        memory: Option<&MemoryV1>,
    ) -> Option<Value> {
        match (directory, memory) {
            (Some(directory), None) => {
                let mut map = Map::new();
                map.insert("type".to_owned(), json!("directory"));
                match directory {
                    DirectoryV1::Path(path) => {
                        map.insert("path".to_owned(), json!(path.as_str()));
                    }
                    DirectoryV1::Block(block) => {
                        map.insert(
                            "path".to_owned(),
                            json!(block.path.as_ref().map_or("", |path| path.as_str())),
                        );
                        if let Some(mode) = block.symlinks {
                            map.insert("symlinks".to_owned(), json!(mode));
                        }
                        if let Some(mode) = block.acls {
                            map.insert("acls".to_owned(), json!(mode));
                        }
                    }
                }
                Some(Value::Object(map))
            }
            (None, Some(MemoryV1::Flag(switch))) if !switch.0 => {
                let message = "`memory: false` is not a destination";
                self.report(pointer.key("memory"), message, "write `directory: <path>`, or `memory: true`");
                None
            }
            (None, Some(_)) => Some(json!({ "type": "memory" })),
            (both, _) => {
                let message = match both {
                    Some(_) => "both `directory` and `memory` are set",
                    None => "neither `directory` nor `memory` is set",
                };
                self.report(pointer.clone(), message, "set exactly one of them");
                None
            }
        }
    }

    fn service(&mut self, from: &Pointer, to: &Pointer, v1: &DestinationV1) -> Option<Value> {
        let templates = self.templates(from, v1.configs.as_deref().unwrap_or_default())?;
        let target = self.target(from, v1, &templates)?;
        self.check_templates(target, &templates);
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(target.type_name()));
        self.insert_properties(target, (from, to), v1, &templates, &mut map);
        if v1.cluster.nonempty().is_some() && target != TargetType::Identity {
            let message = format!("`cluster` has no effect for {}", target.noun());
            self.diagnostics.push(
                Diagnostic::new(Code::InvalidV1, Target::Key(from.key("cluster")), message)
                    .with_severity(Severity::Warning)
                    .with_help("remove it; only an identity can be issued for a leaf cluster"),
            );
        }
        if let Some(roles) = &v1.roles {
            map.insert("roles".to_owned(), roles.0.iter().map(|role| role.as_str()).collect());
        }
        let destination = self.destination(from, v1.directory.as_ref(), v1.memory.as_ref())?;
        self.record_destination(&to.key("destination"), from, v1.directory.as_ref());
        map.insert("destination".to_owned(), destination);
        Some(Value::Object(map))
    }

    /// Returns the type that a destination becomes. Reports a destination that would become several.
    fn target(&mut self, from: &Pointer, v1: &DestinationV1, templates: &[Template]) -> Option<TargetType> {
        let ssh_host = templates.iter().any(|template| template.name == TemplateName::SshHostCert);
        let selectors = [
            ("app", v1.app.is_some()),
            ("database", v1.database.is_some()),
            ("kubernetes_cluster", v1.kubernetes_cluster.is_some()),
            ("ssh_host_cert", ssh_host),
        ];
        let set: Vec<String> =
            selectors.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| format!("`{name}`")).collect();
        if set.len() > 1 {
            let message = format!("{} cannot be combined", set.join(" and "));
            self.report(from.clone(), message, "write a separate destination for each of them");
            return None;
        }
        Some(TargetType::of(v1, ssh_host))
    }

    /// Reports templates that the type does not have.
    fn check_templates(&mut self, target: TargetType, templates: &[Template]) {
        let allowed = target.allowed_templates();
        for template in templates.iter().filter(|template| !allowed.contains(&template.name)) {
            let message = format!("the template `{}` cannot be used for {}", template.name, target.noun());
            let allowed: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
            let help = format!("allowed here: {}", allowed.join(", "));
            self.report(template.pointer.clone(), message, &help);
            self.refused.push(template.pointer.clone());
        }
    }

    /// Inserts the properties of a type into its service, and records where they come from.
    fn insert_properties(
        &mut self,
        target: TargetType,
        (from, to): (&Pointer, &Pointer),
        v1: &DestinationV1,
        templates: &[Template],
        map: &mut Map<String, Value>,
    ) {
        let template = |name| templates.iter().find(|template| template.name == name);
        let mut insert = |key: &str, value: Value, old: Pointer| {
            map.insert(key.to_owned(), value);
            self.moved.push((to.key(key), old));
        };
        match target {
            TargetType::Application => {
                insert("app_name", json!(v1.app.as_ref().map(|name| name.as_str())), from.key("app"));
                if template(TemplateName::Tls).is_some() {
                    insert("specific_tls_naming", json!(true), from.key("configs"));
                }
            }
            TargetType::Database => {
                let database = v1.database.clone().unwrap_or_default();
                let fields = [
                    ("service", &database.service),
                    ("database", &database.database),
                    ("username", &database.username),
                ];
                for (key, value) in fields {
                    // A missing `service` is converted to an empty one, which is then reported.
                    if value.is_some() || key == "service" {
                        let value = value.as_ref().map_or("", |name| name.as_str());
                        insert(key, json!(value), from.key("database").key(key));
                    }
                }
                let formats = [TemplateName::Tls, TemplateName::Mongo, TemplateName::Cockroach];
                let formats: Vec<&Template> = formats.into_iter().filter_map(template).collect();
                match formats.as_slice() {
                    [] => {}
                    [format] => insert("format", json!(format.name.as_str()), from.key("configs")),
                    [_, second, ..] => self.report(
                        second.pointer.clone(),
                        "only one of `tls`, `mongo` and `cockroach` can be used",
                        "write a separate destination for each of them",
                    ),
                }
            }
            TargetType::Kubernetes => {
                let cluster = json!(v1.kubernetes_cluster.as_ref().map(|name| name.as_str()));
                insert("kubernetes_cluster", cluster, from.key("kubernetes_cluster"));
            }
            TargetType::SshHost => {
                let principals = template(TemplateName::SshHostCert).map(|host| host.principals.clone());
                insert("principals", json!(principals.unwrap_or_default()), from.key("configs"));
            }
            TargetType::Identity => {
                if let Some(cluster) = &v1.cluster {
                    insert("cluster", json!(cluster.as_str()), from.key("cluster"));
                }
            }
        }
    }

    fn templates(&mut self, from: &Pointer, configs: &[TemplateV1]) -> Option<Vec<Template>> {
        let mut templates: Vec<Template> = Vec::with_capacity(configs.len());
        let before = self.diagnostics.len();
        for (index, config) in configs.iter().enumerate() {
            let pointer = from.key("configs").index(index);
            let (name, principals) = match config {
                TemplateV1::Name(name) => (*name, Vec::new()),
                TemplateV1::Block(block) => match block.names().as_slice() {
                    [name] => (*name, block.principals()),
                    [] => {
                        let message = "the template has no name, or its name has no value";
                        self.report(
                            pointer,
                            message,
                            "write only its name, without a colon, such as `- tls`",
                        );
                        continue;
                    }
                    _ => {
                        let message = "a template must have exactly one key";
                        self.report(pointer, message, "write a separate entry for each template");
                        continue;
                    }
                },
            };
            if name == TemplateName::SshHostCert && principals.is_empty() {
                self.report(
                    pointer,
                    "`ssh_host_cert` has no principals",
                    "write `ssh_host_cert: {principals: [<host name>]}`",
                );
            } else if templates.iter().any(|template| template.name == name) {
                self.report(pointer, format!("duplicate template `{name}`"), "remove one of them");
            } else {
                templates.push(Template { name, principals, pointer });
            }
        }
        (self.diagnostics.len() == before).then_some(templates)
    }
}

/// An entry of `configs`, in either form.
struct Template {
    name: TemplateName,
    principals: Vec<String>,
    pointer: Pointer,
}

impl TemplateBlockV1 {
    fn names(&self) -> Vec<TemplateName> {
        let options = [
            (TemplateName::TlsCas, self.tls_cas.is_some()),
            (TemplateName::Tls, self.tls.is_some()),
            (TemplateName::Identity, self.identity.is_some()),
            (TemplateName::SshClient, self.ssh_client.is_some()),
            (TemplateName::SshHostCert, self.ssh_host_cert.is_some()),
            (TemplateName::Kubernetes, self.kubernetes.is_some()),
            (TemplateName::Mongo, self.mongo.is_some()),
            (TemplateName::Cockroach, self.cockroach.is_some()),
        ];
        options.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    fn principals(&self) -> Vec<String> {
        let principals = self.ssh_host_cert.as_ref().and_then(|options| options.principals.as_deref());
        principals.unwrap_or_default().iter().map(|name| name.as_str().to_owned()).collect()
    }
}

/// The type of service to which a destination is converted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TargetType {
    Application,
    Database,
    Kubernetes,
    SshHost,
    Identity,
}

impl TargetType {
    const fn of(v1: &DestinationV1, ssh_host: bool) -> Self {
        if v1.app.is_some() {
            Self::Application
        } else if v1.database.is_some() {
            Self::Database
        } else if v1.kubernetes_cluster.is_some() {
            Self::Kubernetes
        } else if ssh_host {
            Self::SshHost
        } else {
            Self::Identity
        }
    }

    const fn type_name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Database => "database",
            Self::Kubernetes => "kubernetes",
            Self::SshHost => "ssh_host",
            Self::Identity => "identity",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Application => "an application",
            Self::Database => "a database",
            Self::Kubernetes => "a Kubernetes cluster",
            Self::SshHost => "a host certificate",
            Self::Identity => "an identity",
        }
    }

    const fn allowed_templates(self) -> &'static [TemplateName] {
        use TemplateName as Name;
        match self {
            Self::Application => &[Name::TlsCas, Name::Tls, Name::Identity],
            Self::Database => &[Name::TlsCas, Name::Identity, Name::Mongo, Name::Cockroach, Name::Tls],
            Self::Kubernetes => &[Name::TlsCas, Name::Identity, Name::Kubernetes],
            Self::SshHost => &[Name::SshHostCert],
            Self::Identity => &[Name::TlsCas, Name::Identity, Name::SshClient],
        }
    }
}
