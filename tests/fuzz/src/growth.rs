//! Families of configurations that grow: each repeats one part, so that a reader, a check or a report repeats the same work.

/// A configuration of any size.
pub struct Family {
    /// The name of the part that is repeated.
    pub name: &'static str,
    start: &'static str,
    /// The repeated part. `N` is replaced by its number.
    part: &'static str,
    end: &'static str,
}

const SERVICES: &str =
    "version: v2\nproxy_server: a.example:443\nonboarding: {join_method: token, token: abc}\nservices:\n";

impl Family {
    const fn new(name: &'static str, start: &'static str, part: &'static str, end: &'static str) -> Self {
        Self { name, start, part, end }
    }

    /// Returns the configuration with as many parts as fit into `size` bytes.
    pub fn of_size(&self, size: usize) -> String {
        let mut text = self.start.to_owned();
        let parts = (0_usize..).map(|number| self.part.replace('N', &number.to_string()));
        for part in parts {
            if text.len() + part.len() + self.end.len() > size {
                break;
            }
            text += &part;
        }
        text + self.end
    }
}

/// All families.
pub const FAMILIES: &[Family] = &[
    Family::new(
        "valid outputs",
        SERVICES,
        "  - {type: identity, destination: {type: directory, path: /opt/N}}\n",
        "",
    ),
    Family::new(
        "same directory",
        SERVICES,
        "  - {type: identity, destination: {type: directory, path: /opt}}\n",
        "",
    ),
    Family::new("same name", SERVICES, "  - {type: identity, name: a, destination: {type: memory}}\n", ""),
    Family::new(
        "same listener",
        SERVICES,
        "  - {type: application-tunnel, app_name: a, listen: 'tcp://127.0.0.1:1'}\n",
        "",
    ),
    Family::new(
        "same secret",
        SERVICES,
        "  - {type: identity, destination: {type: kubernetes_secret, name: a}}\n",
        "",
    ),
    Family::new(
        "unknown keys in services",
        SERVICES,
        "  - {type: identity, cluser: a, destination: {type: memory}}\n",
        "",
    ),
    Family::new("unknown types", SERVICES, "  - {type: identiti, destination: {type: memory}}\n", ""),
    Family::new("missing", SERVICES, "  - {type: identity}\n", ""),
    Family::new("numbers", SERVICES, "  - N\n", ""),
    Family::new("nulls", SERVICES, "  -\n", ""),
    Family::new("unknown keys", "version: v2\n", "unknown-N: 1\n", ""),
    Family::new("misspelt keys", "version: v2\n", "aonboardingN: 1\n", ""),
    Family::new("duplicate keys", "version: v2\n", "a: 1\n", ""),
    Family::new("duplicate maps", "version: v2\n", "onboarding: {token: a}\n", ""),
    Family::new("anchors", "version: v2\n", "aN: &aN 1\n", ""),
    Family::new("redefined anchors", "version: v2\n", "aN: &a 1\n", ""),
    Family::new("aliases", "version: v2\nb: &b x\na: [", "*b,", "]\n"),
    Family::new("merges", "version: v2\nb: &b {x: 1}\na: {<<: [", "*b,", "]}\n"),
    Family::new(
        "merges of long",
        "version: v2\nb: &b {x: 1, y: 2, z: 3, u: 4, v: 5}\n",
        "aN: {<<: *b}\n",
        "",
    ),
    Family::new("long line of keys", "{version: v2, ", "aN: 1, ", "}\n"),
    Family::new(
        "long line of services",
        "{version: v2, services: [",
        "{type: identity, cluser: a}, ",
        "]}\n",
    ),
    Family::new("long line non-ascii", "{version: v2, services: [", "{type: identity, é: é}, ", "]}\n"),
    Family::new("long value", "version: v2\nproxy_server: ", "a", "\n"),
    Family::new("long token template", "version: v2\nonboarding: {token: '", "{{a}}", "'}\n"),
    Family::new("long env", "version: v2\nonboarding: {token: '", "${A}", "'}\n"),
    Family::new("long double quoted", "version: v2\na: \"", "\\n", "\"\n"),
    Family::new("unclosed quote", "version: v2\na: \"", "x\n  ", ""),
    Family::new("brackets", "version: v2\na: ", "[", ""),
    Family::new("closed brackets", "version: v2\na: [", "[],", "]"),
    Family::new("dashes", "a:\n  ", "- ", ""),
    Family::new("question marks", "", "? ", ""),
    Family::new("colons", "a", ":", ""),
    Family::new("tags", "version: v2\n", "aN: !t 1\n", ""),
    Family::new("tabs", "version: v2\n", "\taN: 1\n", ""),
    Family::new("tab values", "version: v2\n", "aN:\t1\n", ""),
    Family::new("comments", "version: v2\n", "# a\n", ""),
    Family::new("comments in list", SERVICES, "  # a N\n", ""),
    Family::new("blank", "version: v2\n", "\n", ""),
    Family::new("spaces", "version: v2\n", " ", ""),
    Family::new("documents", "version: v2\n", "---\na: 1\n", ""),
    Family::new("block scalar", "version: v2\na: |\n", "  x\n", ""),
    Family::new("folded", "version: v2\na: >\n", "  x\n\n", ""),
    Family::new("plain multi-line", "version: v2\na: x\n", "  x\n", ""),
    Family::new("carriage", "version: v2\n", "aN: 1\r", ""),
    Family::new("key alias", "version: v2\n", "*a : 1\n", ""),
    Family::new("flow multi", "version: v2\na: [", "\n  x,", "]\n"),
    Family::new("complex keys", "version: v2\n", "? [a]\n: b\n", ""),
    Family::new(
        "roles",
        "version: v2\nservices: [{type: identity, destination: {type: memory}, roles: [",
        "a,",
        "]}]\n",
    ),
    Family::new(
        "readers",
        "version: v2\nservices: [{type: identity, destination: {type: directory, path: /a, readers: [",
        "{user: a},",
        "]}}]\n",
    ),
    Family::new(
        "principals",
        "version: v2\nservices: [{type: ssh_host, destination: {type: memory}, principals: [",
        "a,",
        "]}]\n",
    ),
    Family::new("ca_pins", "version: v2\nonboarding: {ca_pins: [", "'sha256:a',", "]}\n"),
    Family::new(
        "labels",
        "version: v2\nservices: [{type: kubernetes/v2, destination: {type: memory}, selectors: [",
        "{name: aN},",
        "]}]\n",
    ),
    Family::new(
        "deep pointer",
        "version: v2\nservices: [{type: identity, destination: {type: directory, path: ",
        "/a",
        "}}]\n",
    ),
    Family::new(
        "dots path",
        "version: v2\nservices: [{type: identity, destination: {type: directory, path: ",
        "a/../",
        "}}]\n",
    ),
    Family::new(
        "v1 destinations",
        "auth_server: a:1\ndestinations:\n",
        "  - {directory: /opt/N, app: a}\n",
        "",
    ),
    Family::new(
        "v1 bad",
        "auth_server: a:1\ndestinations:\n",
        "  - {directory: /opt/N, kinds: [x], roles: a}\n",
        "",
    ),
    Family::new("join uri", "version: v2\njoin_uri: 'tbot+proxy+token://a:", "%41", "@a:1'\n"),
    Family::new("durations", "version: v2\ncredential_ttl: ", "1h", "\n"),
    Family::new("addresses", "version: v2\nproxy_server: ", "a.", "\n"),
];
