//! The forms of placeholders: signs around a name, instructions to the reader, and words for what the reader has. Depends on
//! nothing.
//!
//! Join tokens are arbitrary strings, but in practice consist of hex digits, or of words with `-`.

/// The message about a template or a placeholder.
pub(super) const NOT_FILLED_IN: &str = "this looks like a template or a placeholder that was not filled in";

/// Properties with strings that can contain templates, or code, for other programs.
pub(super) const FOR_OTHER_PROGRAMS: [&str; 4] =
    ["command", "proxy_command", "secret_labels", "secret_annotations"];

/// Returns whether a string looks like a placeholder.
pub(super) fn is_placeholder(string: &str) -> bool {
    is_marked(string)
        || is_instruction(string)
        || has_possessive(string)
        || is_variable_name(string)
        || (string.len() >= 3 && string.bytes().all(|byte| byte.eq_ignore_ascii_case(&b'x')))
}

/// The delimiters that templates put around a name.
const MARKS: [(&str, &str); 7] =
    [("<", ">"), ("<%", "%>"), ("[[", "]]"), ("$(", ")"), ("#{", "}"), ("%(", ")"), ("(=", "=)")];

/// Returns whether a string contains signs that mark a placeholder. `${NAME}`, and `$NAME` in a path or an address, are
/// reported as not expanded.
fn is_marked(string: &str) -> bool {
    // Almost no string has one of these signs.
    let is_sign = |byte: u8| b"$%<@{[(#".contains(&byte) || !byte.is_ascii();
    let has_sign = string.bytes().any(is_sign) || string.starts_with("__") || string.contains("...");
    let within = |sign: char| string.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
    has_sign
        && (string.strip_prefix('$').is_some_and(is_name)
            || ["{{", "{%", "...", "…"].iter().any(|sign| string.contains(sign))
            || MARKS.into_iter().any(|(open, close)| is_between(string, open, close))
            || string.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_name)
            || has_name_in_percent_signs(string)
            || within('@').is_some_and(is_upper_name)
            || string.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")).is_some_and(is_upper_name))
}

/// Returns whether a string contains a template that cannot be part of the name of anything. Other placeholders, such as `changeme`,
/// can be names that somebody has chosen.
pub(super) fn contains_template(string: &str) -> bool {
    string.contains("{{")
        || string.contains("${")
        || string.strip_prefix('$').is_some_and(is_upper_name)
        || is_between(string, "<", ">")
        || has_name_in_percent_signs(string)
}

/// Returns whether a string that contains a template consists of nothing else.
pub(super) fn is_template_alone(string: &str) -> bool {
    let is_within = |(open, close)| string.starts_with(open) && string.ends_with(close);
    [("{{", "}}"), ("${", "}"), ("<", ">"), ("%", "%")].into_iter().any(is_within)
        || string.strip_prefix('$').is_some_and(is_upper_name)
}

/// Returns whether a string contains a name between these delimiters.
fn is_between(string: &str, open: &str, close: &str) -> bool {
    let name =
        enclosed(string, open, close).map(|name| name.trim_start_matches(['<', '=', '-', ' ', '@', '$']));
    name.is_some_and(|name| name.starts_with(char::is_alphabetic))
}

fn has_name_in_percent_signs(string: &str) -> bool {
    enclosed(string, "%", "%").is_some_and(|name| name.len() > 2 && is_upper_name(name))
}

/// Returns the text between the first two signs.
fn enclosed<'a>(string: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, after) = string.split_once(open)?;
    after.split_once(close).map(|(name, _)| name)
}

fn is_name(string: &str) -> bool {
    string.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && string.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_upper_name(string: &str) -> bool {
    is_name(string) && !string.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Verbs that begin an instruction, and words of which at least one must follow.
const VERBS: [&str; 7] = ["change", "replace", "insert", "paste", "put", "enter", "fill"];
const OBJECTS: [&str; 6] = ["me", "this", "your", "here", "with", "from"];

/// Returns whether a string tells the reader what to do, such as `replace-with-your-token` or `TOKEN_HERE`. A directory can
/// have such a name.
fn is_instruction(string: &str) -> bool {
    if string.contains(['/', '.', ':']) {
        return false;
    }
    let mut words = string.split(['-', '_', ' ']);
    let starts_with_verb = words.next().is_some_and(|first| is_one_of(first, &VERBS));
    starts_with_verb && words.clone().any(|word| is_one_of(word, &OBJECTS))
        || words.next_back().is_some_and(|last| last.eq_ignore_ascii_case("here"))
        || is_one_of(string, &["changeme", "replaceme", "fillme", "todo"])
}

/// Things that belong to the reader of an example, in names such as `yourcompany`.
const POSSESSIONS: [&str; 16] = [
    "account",
    "cluster",
    "company",
    "domain",
    "host",
    "hostname",
    "instance",
    "name",
    "org",
    "organization",
    "project",
    "proxy",
    "server",
    "teleport",
    "tenant",
    "token",
];

/// Returns whether a string contains a name with `your`: `your-token`, `tbot-YOUR_CLUSTER`, `yourcompany.com`.
fn has_possessive(string: &str) -> bool {
    // Almost no string contains the word.
    if !string.as_bytes().windows(4).any(|window| window.eq_ignore_ascii_case(b"your")) {
        return false;
    }
    let is_part = |found: char| found.is_ascii_alphanumeric() || matches!(found, '-' | '_');
    string.split(|found: char| !is_part(found)).any(|name| {
        let words: Vec<&str> = name.split(['-', '_']).collect();
        words.iter().enumerate().any(|(index, word)| {
            let Some((your, rest)) = word.split_at_checked(4) else { return false };
            // In lower case, the word can be in the middle of a name that somebody has chosen.
            let starts_name = your == "YOUR" || index == 0;
            let has_more = index + 1 < words.len();
            your.eq_ignore_ascii_case("your")
                && (rest.is_empty() && starts_name && has_more || is_one_of(rest, &POSSESSIONS))
        })
    })
}

/// Returns whether a string is a name in upper case that represents a token, the host of an address with a port, or a part of
/// an ARN.
fn is_variable_name(string: &str) -> bool {
    let has_word = |name: &str, words: &[&str]| name.split('_').any(|word| words.contains(&word));
    if let Some(arn) = string.strip_prefix("arn:") {
        let is_part = |name: &str| name.contains('_') && has_word(name, &["ID", "NAME", "ARN"]);
        return arn.split([':', '/']).any(|name| is_upper_name(name) && is_part(name));
    }
    match string.split_once(':') {
        Some((host, port)) => {
            host.contains('_') && is_upper_name(host) && port.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => is_upper_name(string) && has_word(string, &["TOKEN", "SECRET"]),
    }
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_placeholder_is_recognised() {
        let values = "
            PASTE_TOKEN_FROM_tctl_bots_add
            INSERT_TOKEN_HERE
            replace-with-your-token
            put-your-token-here
            bot-token-goes-here
            fill_me_in
            REPLACE_ME
            change-me
            YOUR_TELEPORT_BOT_TOKEN_HERE
            TOKEN
            BOT_TOKEN
            <токен_бота>
            <<token>>
            <%= token %>
            <%= @token %>
            <%= $token -%>
            <%- token %>
            [TOKEN]
            [[token]]
            $(BOT_TOKEN)
            /opt/$(cluster)/state
            #{token}#
            %(token)s
            (=presets.tokens.first=)
            /opt/tbot-YOUR_CLUSTER/state
            /home/your-user/out
            yourcluster.teleport.sh:443
            teleport.yourcompany.com:443
            teleport.your-company.com:443
            PROXY_ADDRESS:443
            tbot+proxy+token://YOUR_TOKEN@teleport.example.com:443
            arn:aws:rolesanywhere:us-east-1:123456789012:profile/PROFILE_ID
            arn:aws:iam::ACCOUNT_ID:role/bot
        ";
        for value in values.lines().map(str::trim).filter(|value| !value.is_empty()) {
            assert!(is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn a_template_is_recognised_in_a_name() {
        for name in ["{{ app }}", "${APP:-grafana}", "x-${APP}", "<database>", "%DB_USER%", "$DB_SERVICE"] {
            assert!(contains_template(name), "{name}");
        }
        for name in
            ["changeme", "YOUR-APP", "[app]", "db$prod", "$app", "a<b", "50%_of_100%", "__app__", "todo"]
        {
            assert!(!contains_template(name), "{name}");
        }
    }

    #[test]
    fn real_values_are_not_placeholders() {
        let values = "
            c0ffee5ec4e7c0ffee5ec4e7c0ffee00
            github-bot
            bot_of_the_year
            my-bot-token
            p4%55w$rd
            a%AB%CDb
            /var/lib/teleport/token
            xavier
            teleport.example.com:443
            your.example.com:443
            https://teleport.example.com/a%20b%20c
            sha256:7e12c17c20d9cb504bbcb3f0236be3f446861f1396dcbb44425fe28ec1c108f1
            todos
            user@example.com
            yourkit.com:443
            getyourguide.com:443
            get-your-guide-bot
            /opt/get-your-guide/out
            /srv/start-here
            /opt/MY_APP/TOKEN_FILES
            HOST:443
            PROD
            [::1]:443
            [::1]
            /data/app[1]/out
            pa#ss(w)ord
            replace-bot
            paste-bin-token
            insert-bot
            there
            arn:aws:iam::123456789012:role/ADMIN_ROLE
            arn:aws:rolesanywhere:us-east-1:123456789012:profile/22222222-2222-2222-2222-222222222222
        ";
        for value in values.lines().map(str::trim).filter(|value| !value.is_empty()) {
            assert!(!is_placeholder(value), "{value}");
        }
    }
}
