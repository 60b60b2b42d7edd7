//! All claims, in the order of docs/proofs.md. Only data.

use super::{Check, Claim, Full};

/// All claims.
pub(crate) const CLAIMS: &[Claim] = &[
    Claim {
        name: "What changes the event",
        statement: "Only these parts of a configuration can change the event: the join method, which is in `onboarding.join_method` or in \
                    `join_uri`; `oneshot`; and the number and types of services and outputs. In version 1, the type of a destination \
                    follows from its keys. Everything else can have any value, and the bytes of the request stay the same.",
        checks: &[
            Check {
                shows: "No other property changes the request",
                command: "cargo test --locked --workspace --test config -- non_interference",
                needs: &[],
                full: Full::Command(
                    "TBOT_TEST_CASES=100000 cargo test --locked --workspace --test config -- non_interference",
                ),
                figure: "94,349 valid configurations of 100,000 random ones, 1,165,776 changes of single properties, no \
                         difference (2026-11-26); in CI, 2,000 configurations",
                mutation: "`count_entries` in `src/event/builder.rs` skips entries with a `name`",
            },
            Check {
                shows: "Neither the request nor the log lines about it contain a free-form string of the configuration, or a variable that is not for telemetry",
                command: "cargo test --locked --workspace --test integration -- program::canaries",
                needs: &[],
                full: Full::Same,
                figure: "15 join methods, each with 5 services, 15 identifying variables and the secrets of its method; a submission that fails, and \
                         the four variables that say how to send the event",
                mutation: "`TelemetryRequest::build` adds a header with `HOSTNAME`",
            },
            Check {
                shows: "No secret of a join, and no key, is in any line of the log, at any level",
                command: "cargo test --locked --workspace --test integration -- agent::secrecy",
                needs: &[],
                full: Full::Same,
                figure: "join tokens, private keys, bound key pairs, ID tokens and cloud credentials, accepted and refused",
                mutation: "`join` in `src/agent/bot/join/http_join.rs` logs its request with `tracing::debug!`",
            },
            Check {
                shows: "No metric contains an identifier, except the names of services",
                command: "cargo test --locked --workspace --test integration -- \
                          agent::health::metrics_count_renewals_and_contain_no_identifiers",
                needs: &[],
                full: Full::Same,
                figure: "1 test",
                mutation: "`tbot_build_info` has the name of the bot as a label",
            },
        ],
        not_shown: &[
            "that `join_uri` and `version` can have any value: the random configurations have no `join_uri`, and a fixed `version`; a \
             separate test of the same command compares join URIs that differ only in their token and address",
            "that the counts and the join method are harmless: see the budget below",
            "anything about what the operator sets for telemetry: the path and query in `TELEPORT_ANONYMOUS_TELEMETRY_ADDRESS` are sent, and \
             its path is logged; warnings name the HTTP proxy, without its user and password, and the file in `SSL_CERT_FILE`",
            "anything about other secrets in the log, such as a token for Kubernetes, the password of a proxy, or a JWT that a service delivers; \
             the log does name paths and services, because operators need them",
        ],
    },
    Claim {
        name: "Nothing is sent when off",
        statement: "With telemetry off, `tbot` opens no connection for it, resolves no name, and opens no file that only telemetry \
                    needs. With telemetry on, `tbot start` sends at most one request, to the configured endpoint or through its HTTP \
                    proxy; it tries the addresses of that name until one accepts the connection. No other command sends telemetry; \
                    `validate`, `telemetry preview` and `telemetry status` open no socket.",
        checks: &[
            Check {
                shows: "The kernel sees connections to the cluster and to nothing else",
                command: "cargo test --locked --workspace --test integration -- --ignored program::silence",
                needs: &["strace"],
                full: Full::Same,
                figure: "oneshot and continuous, on and off: 1 connection more when on, no file more; `validate`, \
                         `telemetry preview` and `telemetry status`: no socket",
                mutation: "`tbot start` submits the event whatever the consent is, or reads `/etc/hostname` when it is on",
            },
            Check {
                shows: "No name is resolved",
                command: "cargo test --locked --workspace --test integration -- \
                          program::system_calls::telemetry_off_resolves_no_name",
                needs: &[],
                full: Full::Same,
                figure: "1 test, with a run that is on to show that a look-up is noticed",
                mutation: "`tbot start` submits the event whatever the consent is",
            },
            Check {
                shows: "Consent is given by at least one input, and refused by none",
                command: "cargo test --locked --workspace --test integration -- program::consent",
                needs: &[],
                full: Full::Same,
                figure: "all 120 combinations of flag, property and both variables: 30 send one request, 90 none",
                mutation: "`DO_NOT_TRACK=1` says neither yes nor no",
            },
            Check {
                shows: "The request is the previewed one",
                command: "cargo test --locked --workspace --test integration -- program::preview",
                needs: &[],
                full: Full::Same,
                figure: "the URL, each header and the body of a start, over plain HTTP, over TLS, and over TLS through an HTTP proxy, \
                         whose `CONNECT` request has only the name and port of the receiver and the credentials for the proxy",
                mutation: "`submit` adds a header that the preview does not show",
            },
            Check {
                shows: "The library sends nothing",
                command: "cargo test --locked --workspace --test integration -- \
                          embed::a_program_that_embeds_the_library_sends_no_telemetry",
                needs: &[],
                full: Full::Same,
                figure: "a program that embeds the agent, oneshot and continuous, with consent from the configuration and the environment: \
                         no connection to the endpoint, nor to an HTTP proxy through which other machines are reached",
                mutation: "`Agent::run` sends a request to the default endpoint",
            },
            Check {
                shows: "The agent of the library cannot build an event",
                command: "cargo test --locked --workspace --test layers -- \
                          the_parts_of_the_library_import_only_what_they_may",
                needs: &[],
                full: Full::Same,
                figure: "no file of the agent imports one of the event",
                mutation: "a file in `src/agent/` imports `crate::event`",
            },
            Check {
                shows: "Only `tbot start` can submit the event",
                command: "cargo test --locked --workspace --test layers -- only_tbot_start_can_submit_the_event",
                needs: &[],
                full: Full::Same,
                figure: "1 file of the program imports the code that submits",
                mutation: "`validate` in `src/bin/tbot/validate.rs` calls `Submission::start`",
            },
        ],
        not_shown: &[
            "that an agent with telemetry off is silent for hours: it is observed for seconds; the week, in [Durability](#durability), counts the \
             events of agents with telemetry on",
            "that the operating system is silent: it may resolve the name of the cluster, which the agent needs",
            "that a submission to an `https://` endpoint opens no file: it reads the root certificates, and the test uses `http://`",
            "that the library cannot send anything: a request that ignores both the endpoint's variable and the HTTP proxy would not be seen, \
             nor one that a continuous run sends after its first heartbeat",
        ],
    },
    Claim {
        name: "No effect on the agent",
        statement: "Telemetry changes neither what the agent does nor its exit status, whatever the endpoint does. It can delay the \
                    exit by up to half a second.",
        checks: &[
            Check {
                shows: "The agent and its exit status do not depend on the endpoint",
                command: "cargo test --locked --workspace --test integration -- program::telemetry_and_agent",
                needs: &[],
                full: Full::Same,
                figure: "endpoints that respond, refuse the connection, stay silent or send garbage: the same exit status, and files of the same names",
                mutation: "a response with an error ends the process with another exit status",
            },
            Check {
                shows: "A submission is one attempt, limited in time and in what it reads",
                command: "cargo test --locked --workspace --test integration -- program::submission",
                needs: &[],
                full: Full::Same,
                figure: "endpoints that redirect, drip, flood and do not speak TLS: one request, and a warning",
                mutation: "`submit` in `src/bin/tbot/telemetry/submit.rs` sends the request twice, `connect_code` there reads a response \
                           without a limit, or `EXIT_TIMEOUT` there is a minute",
            },
            Check {
                shows: "Telemetry does not change the exit status; the times are only printed, as ratios to telemetry off",
                command: "cargo test --locked --workspace --test integration -- program::telemetry_times --nocapture",
                needs: &[],
                full: Full::Command(
                    "TBOT_TEST_ROUNDS=20 cargo test --locked --workspace --test integration -- program::telemetry_times \
                     --nocapture",
                ),
                figure: "2026-11-27, 20 rounds of a development build on a busy machine: credentials of a oneshot run after 0.092 s without telemetry, \
                         and at most 1.27 times that with it; a silent endpoint delays only the exit, by half a second; a continuous run, 0.104 s, \
                         and at most 1.15 times that",
                mutation: "`start` ends with another exit status after a submission",
            },
        ],
        not_shown: &[
            "that the times are equal: they are printed, and no test compares them",
            "that a panic in the code that sends the event leaves the agent running: in the release build, a panic ends the process, and the \
             tests look for one that a response causes, not for every one",
        ],
    },
    Claim {
        name: "Anonymity",
        statement: "Nothing in the bytes of a request links two events of a machine, or an event to a machine, beyond the properties. \
                    The address that requests come from may link them: see [How much an event reveals](#how-much-an-event-reveals). `distinctId` is random and new for each start.",
        checks: &[
            Check {
                shows: "The id consists of the random bytes that it is given, and a million ids are all different",
                command: "cargo test --locked --workspace --bin tbot -- telemetry::distinct_id",
                needs: &[],
                full: Full::Same,
                figure: "the id of given bytes; 1,000,000 ids, no two the same",
                mutation: "the id has 32 random bits, or its first bytes are those of the process id",
            },
            Check {
                shows: "Every free bit of the id varies from process to process",
                command: "cargo test --locked --workspace --test integration -- program::distinct_id",
                needs: &[],
                full: Full::Same,
                figure: "48 processes, 122 of 122 free bits vary",
                mutation: "the last 16 bits of the id are always the same",
            },
            Check {
                shows: "The environment does not change the request",
                command: "cargo test --locked --workspace --test integration -- program::anonymity",
                needs: &[],
                full: Full::Same,
                figure: "30 variables, time zones, locales and terminals: the same bytes apart from `distinctId`",
                mutation: "`TelemetryRequest::build` adds a header with `HOSTNAME`",
            },
            Check {
                shows: "Another user, machine or terminal does not change the request",
                command: "cargo test --locked --workspace --test integration -- --ignored program::anonymity",
                needs: &["root", "script"],
                full: Full::Same,
                figure: "2 users, 2 host names and a terminal: the same bytes apart from `distinctId`",
                mutation: "`TelemetryRequest::build` adds a header with the host name that the kernel reports",
            },
            Check {
                shows: "How much an event reveals does not grow unnoticed",
                command: "cargo test --locked --workspace --bin xtask -- docs::proofs",
                needs: &[],
                full: Full::Same,
                figure: "the table at the end of this page",
                mutation: "the pattern of `helper_version` accepts three digits per number",
            },
        ],
        not_shown: &[
            "that the operating system's random number generator is unpredictable: the id consists of its output",
            "that the random bytes come from the operating system, and not from a hash of facts about the machine: `random_bytes` in \
             `src/bin/tbot/telemetry/distinct_id.rs` is one line, which calls `Uuid::new_v4`",
            "that nobody can recognise a rare combination of properties: see the end of this page",
            "that the id is not stored: that no file is written for telemetry is a part of [Nothing is sent when off](#nothing-is-sent-when-off)",
            "what a receiver other than prehog does with the sender's address",
        ],
    },
    Claim {
        name: "Nothing about a sender is kept",
        statement: "prehog stores and logs nothing about the sender of an event. In a file, it separates ids from events within seconds, and \
                    removes each id after the day that follows the one on which it arrived. A report shows no group that is smaller than \
                    the minimum. See [How prehog stores it](telemetry.md#how-prehog-stores-it).",
        checks: &[
            Check {
                shows: "No part of a request but the event is stored or logged, and ids are separated and removed",
                command: "cargo test --locked --workspace --test prehog -- privacy",
                needs: &[],
                full: Full::Same,
                figure: "known strings in the query, 7 headers and 8 invalid or unlisted parts of an event: none in the store, the log or the \
                         metrics; after a day, no byte of 3,000 ids",
                mutation: "`submit_tbot_event` in `prehog/src/ingest.rs` logs the headers of the request, or `forget` in \
                           `prehog/src/store/sqlite/ids.rs` deletes nothing",
            },
            Check {
                shows: "In ClickHouse, ids are separated and removed after their day",
                command: ".ci/clickhouse cargo test --locked --workspace --test prehog -- --ignored privacy",
                needs: &["clickhouse", "curl"],
                full: Full::Same,
                figure: "ids of two days, one of which arrives too late",
                mutation: "`forget_ids` in `prehog/src/store/clickhouse.rs` drops no day of `ids`",
            },
            Check {
                shows: "The address that receives events shows nothing of what is stored",
                command: "cargo test --locked --workspace --test prehog -- wire::the_public_listener_serves_only_ingest_and_health",
                needs: &[],
                full: Full::Same,
                figure: "6 paths, among them those of the report and the metrics: none is served",
                mutation: "`event_routes` in `prehog/src/server.rs` also serves `/metrics`",
            },
            Check {
                shows: "A report shows no small group, in any format",
                command: "cargo test --locked --workspace --test prehog -- reports",
                needs: &[],
                full: Full::Same,
                figure: "HTML, JSON and CSV, the differences of reports over different weeks, and tables by use case",
                mutation: "`round` in `prehog/src/report/rounding.rs` returns each number as it is",
            },
        ],
        not_shown: &[
            "what a reverse proxy, a ClickHouse server, a file system or a backup keeps: see [Stores](prehog.md#stores)",
            "that no property reveals a sender: see [How much an event reveals](#how-much-an-event-reveals)",
            "what somebody learns from a report who also sends fake events: see \
             [What an attacker can learn](prehog.md#what-an-attacker-can-learn-with-fake-events)",
        ],
    },
    Claim {
        name: "Code and pages agree",
        statement: "The declaration of the event, its schema, the documentation, the program and the receiver agree: a change of one of \
                    them alone fails a check, which names the command that repairs it.",
        checks: &[
            Check {
                shows: "Every seeded mutation is found",
                command: "cargo test --locked --workspace --bin xtask -- docs::mutations",
                needs: &[],
                full: Full::Same,
                figure: "7 mutations of the event, a new field for each type of service, and 3 changes of each generated file",
                mutation: "`check` in `xtask/src/generated.rs` ignores white space at the end of a file",
            },
            Check {
                shows: "Generated files are up to date, and released versions are unchanged",
                command: "cargo test --locked --workspace --bin xtask -- generators released",
                needs: &[],
                full: Full::Same,
                figure: "3 generators, 2 released versions",
                mutation: "the pattern of `helper_version` changes in `schema/tbot.start.schema.json` only",
            },
            Check {
                shows: "The declarations follow the rules",
                command: "cargo test --locked --workspace --test event",
                needs: &[],
                full: Full::Same,
                figure: "9 properties, each with a closed set of values, a permitted source, a reason and a first version",
                mutation: "`join_type` reads `/onboarding/token`",
            },
            Check {
                shows: "Every property has a column in both stores of the receiver",
                command: "cargo test --locked --package prehog --lib -- store::migrations",
                needs: &[],
                full: Full::Same,
                figure: "9 properties, SQLite and ClickHouse",
                mutation: "a line of `prehog/src/store/migrations/sqlite/0003-property-names.sql` is removed",
            },
        ],
        not_shown: &[
            "that an explanation is true: a reason is written by people, and the checks only keep its copies alike",
        ],
    },
    Claim {
        name: "Do tests notice a fault?",
        statement: "The tests notice every change of the code that decides what is sent and shown, whether the agent renews, and what \
                    prehog accepts. [cargo-mutants](https://mutants.rs) changes one operator, condition or result of a function at a \
                    time, and runs the tests. `.cargo/mutants.toml` lists the files, and the changes that make no difference, each \
                    with its reason. `cargo install --locked cargo-mutants@27.1.0` installs it.",
        checks: &[
            Check {
                shows: "Mutants of the event: its declarations, rules, audit and builder",
                command: "cargo mutants --re src/event --no-default-features --test-package tbot --cargo-arg=--locked \
                          --cargo-arg=--lib --cargo-arg=--test=event -- -- event:: cases:: closed_values:: declarations::",
                needs: &["cargo-mutants"],
                full: Full::Only,
                figure: "2026-11-26: 115 tried: 94 caught, 21 do not compile, none survived; before 5 tests were added, 13 did",
                mutation: "the test `empty_explanations_are_found` is removed",
            },
            Check {
                shows: "Mutants of consent, the preview and the submission",
                command: "cargo mutants --re src/bin --test-package tbot --cargo-arg=--locked --cargo-arg=--bin=tbot \
                          --cargo-arg=--test=integration -- -- telemetry:: program::preview program::submission \
                          program::command_line program::consent program::distinct_id",
                needs: &["cargo-mutants"],
                full: Full::Only,
                figure: "2026-11-26: 80 tried: 65 caught, 15 do not compile, none survived; before 2 tests were added and \
                         redundant code was removed, 4 did",
                mutation: "`secrets_in_an_address_are_not_shown` tries no address that has only a user name or only a password",
            },
            Check {
                shows: "Mutants of what a diagnostic shows of a file",
                command: "cargo mutants --re src/diagnostic --re src/untrusted --re src/config --no-default-features \
                          --test-package tbot --cargo-arg=--locked --cargo-arg=--lib --cargo-arg=--test=config -- -- \
                          diagnostic:: untrusted:: vocabulary:: cases:: secrets:: canaries::",
                needs: &["cargo-mutants"],
                full: Full::Only,
                figure: "2026-11-26: 263 tried: 239 caught, 8 of them because tests did not end, 24 do not compile, none survived; before \
                         9 tests were added and redundant code was removed, 24 did. 2026-11-27: the 14 of changed code, all caught",
                mutation: "the test `a_line_is_truncated_only_as_far_as_needed` is removed",
            },
            Check {
                shows: "Mutants of the decision to join or to renew, of when, and of what the error of a join shows",
                command: "cargo mutants --re src/agent --test-package tbot --cargo-arg=--locked --cargo-arg=--lib \
                          --cargo-arg=--test=integration -- -- refusal_context:: bot::renewal:: runtime::schedule:: agent::secrecy",
                needs: &["cargo-mutants"],
                full: Full::Only,
                figure: "2026-11-26: 48 tried: 32 caught, 16 do not compile, none survived; before 5 unit tests were added, 11 did",
                mutation: "the test `a_wait_until_a_time_ends_then_and_at_once_if_it_has_passed` is removed",
            },
            Check {
                shows: "Mutants of what prehog accepts",
                command: "cargo mutants --package prehog --re prehog/src --cargo-arg=--locked --cargo-arg=--lib \
                          --cargo-arg=--test=prehog -- -- limits:: malformed:: schema:: start:: validation:: wire:: fuzz:: \
                          privacy:: abuse::the_rate",
                needs: &["cargo-mutants"],
                full: Full::Only,
                figure: "2026-11-26: 146 tried: 100 caught, 46 do not compile, none survived; before 4 tests were added and \
                         redundant code was removed, 9 did; one more makes no difference and is left out",
                mutation: "the test `only_a_property_that_is_not_always_sent_may_be_absent` is removed",
            },
        ],
        not_shown: &[
            "that the tests notice every fault: a mutant is one small change, and a fault may be a line that is missing",
            "anything about the code that `.cargo/mutants.toml` does not list",
            "how the figures were obtained: for speed, from builds that contain all mutants of an area, one of which is active in \
             a run; 62 of them also ran with cargo-mutants itself",
        ],
    },
    Claim {
        name: "Robust input",
        statement: "Any file, environment, response or request is either accepted or refused: without a panic, without \
                    a secret in a message, and in a time that grows no faster than the input.",
        checks: &[
            Check {
                shows: "YAML, as random input",
                command: "cargo test --locked --package tbot-yaml --lib -- tests::fuzz",
                needs: &[],
                full: Full::Fuzz("cargo xtask fuzz yaml"),
                figure: "2,000 mutations of a corpus in CI. 200,000 executions with libFuzzer on 2026-11-27 reached 6,333 branches, and the \
                         corpus 4,190: no failure",
                mutation: "`disallowed_character` in `src/yaml/lib.rs` allows U+2028",
            },
            Check {
                shows: "Replies of servers, WebSocket frames and variables of the agent, as random input",
                command: "cargo test --locked --package tbot --lib -- agent::malformed_input::fuzz agent::net::web_socket::fuzz",
                needs: &[],
                full: Full::Fuzz("cargo xtask fuzz agent-environment server-replies web-socket"),
                figure: "2,000 mutations of each of 3 corpora in CI. On 2026-11-26, 100,000 of each found a password in the display of a \
                         proxy, which is fixed. On 2026-11-27, 1,500,000 replies with libFuzzer reached 6,381 branches, and the corpus 2,419; \
                         1,500,000 sets of variables 1,424, and 20,000 sequences of frames 562: no failure",
                mutation: "`poll_read` in `src/agent/net/web_socket.rs` ends at a ping, or `for_url` in `src/agent/net/http_proxy.rs` \
                           leaves an `@` in a password as it is",
            },
            Check {
                shows: "Configurations as random input",
                command: "cargo test --locked --workspace --test config -- fuzz",
                needs: &[],
                full: Full::Fuzz("cargo xtask fuzz configuration"),
                figure: "2,000 mutations in CI; 1,500,000 executions with libFuzzer on 2026-11-27 reached 19,284 branches, and the corpus \
                         14,053: no failure",
                mutation: "`may_show` in `src/diagnostic/excerpt.rs` shows hidden values",
            },
            Check {
                shows: "Environments of a start, and responses to its event, as random input",
                command: "cargo test --locked --workspace --bin tbot -- telemetry::fuzz",
                needs: &[],
                full: Full::Fuzz("cargo xtask fuzz telemetry-environment telemetry-response"),
                figure: "2,000 mutations of each of 2 corpora in CI; 1,500,000 environments with libFuzzer on 2026-11-27 reached 3,016 \
                         branches, and the corpus 1,679: no failure",
                mutation: "a value of `TELEPORT_ANONYMOUS_TELEMETRY` that is not a boolean gives consent, or `connect_code` in \
                           `src/bin/tbot/telemetry/submit.rs` returns any code that it reads",
            },
            Check {
                shows: "Requests to prehog as random input",
                command: "cargo test --locked --workspace --test prehog -- fuzz",
                needs: &[],
                full: Full::Fuzz("cargo xtask fuzz prehog-requests"),
                figure: "2,000 mutations in CI; 1,500,000 executions with libFuzzer on 2026-11-27 reached 6,177 branches, and the corpus 3,019: \
                         no failure",
                mutation: "`intercept_unary` in `prehog/src/ingest.rs` counts an invalid event as stored",
            },
            Check {
                shows: "Input of twice the size takes at most twice the steps",
                command: "cargo test --locked --package tbot --lib -- config::growth",
                needs: &[],
                full: Full::Same,
                figure: "59 kinds of input, each of 4 and 8 KiB",
                mutation: "`enclosing` in `src/config/checks/overlaps.rs` reads a path again for each directory above it",
            },
        ],
        not_shown: &[
            "that no input fails: in CI, the random inputs are guided by new outcomes, and by the coverage of the code only in the long \
             version",
            "that every step is fast; `cargo bench --bench configuration -- slowest` prints the slowest known inputs",
        ],
    },
    Claim {
        name: "Durability",
        statement: "The files of the agent and the events of prehog survive a kill at any moment, full disks, limits, changes of the \
                    clock and outages.",
        checks: &[
            Check {
                shows: "The agent can be killed at any moment",
                command: "cargo test --locked --workspace --test integration -- program::crash --nocapture",
                needs: &[],
                full: Full::Command(
                    "TBOT_TEST_KILLS=500 cargo test --locked --workspace --test integration -- program::crash --nocapture",
                ),
                figure: "2026-11-27: 500 kills: 450 identities renewed, 36 responses lost, 14 renewals suspended without need; 177,179 sets of files \
                         were read meanwhile, all complete. 20 kills by default, 100 in CI",
                mutation: "`replace_with_link` in `src/agent/destination/generation.rs` removes the old link first",
            },
            Check {
                shows: "prehog can be killed at any moment",
                command: "cargo test --locked --workspace --test prehog -- crash --nocapture",
                needs: &[],
                full: Full::Command(
                    "PREHOG_TEST_KILLS=500 cargo test --locked --workspace --test prehog -- crash --nocapture",
                ),
                figure: "2026-11-27: 500 kills, 15,617 events acknowledged and stored once, 4 without a response. 20 kills by default, 100 in CI",
                mutation: "`append` in `prehog/src/store/sqlite/inbox.rs` skips every third batch",
            },
            Check {
                shows: "Disks without space or inodes cost the agent no identity and no join token",
                command: "cargo test --locked --workspace --test integration -- --ignored agent::full_disks --nocapture",
                needs: &["root"],
                full: Full::Command(
                    "TBOT_TEST_SPACE=1024 cargo test --locked --workspace --test integration -- --ignored \
                     agent::full_disks --nocapture",
                ),
                figure: "2026-11-26: 11 amounts of free space: 8 runs requested no renewal, 3 wrote everything; with ever more inodes, 9 and \
                         28 runs refused, then everything was written",
                mutation: "`test_destinations` in `src/agent/bot/renewal/preflight.rs` tests nothing, or `allocate` in \
                           `src/agent/destination/reservation.rs` allocates nothing",
            },
            Check {
                shows: "Disks without space or inodes cost prehog no event, nor does a process without descriptors",
                command: "cargo test --locked --workspace --test prehog -- --include-ignored exhaustion --nocapture",
                needs: &["root"],
                full: Full::Same,
                figure: "2026-11-27: 1,200 events without space, all refused; 1,200 without inodes, none refused; all stored once in the end",
                mutation: "prehog acknowledges an event whether or not it is stored",
            },
            Check {
                shows: "Limits on descriptors and on the size of files cost the agent no identity and no join token",
                command: "cargo test --locked --workspace --test integration -- program::limits",
                needs: &[],
                full: Full::Same,
                figure: "limits of the size of a file and of open files",
                mutation: "`test_destinations` in `src/agent/bot/renewal/preflight.rs` tests nothing",
            },
            Check {
                shows: "The agent survives changes of the clock and an outage of the cluster",
                command: "cargo test --locked --workspace --test integration -- agent::resilience agent::renewal_safety",
                needs: &[],
                full: Full::Same,
                figure: "a suspend, a clock that is set back, outages at the start, for hours, and during each step of a renewal",
                mutation: "`Wait::finished` in `src/agent/runtime/schedule.rs` looks only at the monotonic clock",
            },
            Check {
                shows: "prehog survives changes of the clock and an outage of its store",
                command: "cargo test --locked --workspace --test prehog -- clock outage",
                needs: &[],
                full: Full::Same,
                figure: "a clock that was ahead; stores that are locked, full, read-only, deleted or do not respond",
                mutation: "prehog acknowledges an event whether or not it is stored",
            },
            Check {
                shows: "Both programs pass a week with restarts, kills, a rotation, outages and a full disk",
                command: "cargo xtask week --short",
                needs: &["root", "faketime"],
                full: Full::Command("cargo xtask week"),
                figure: "2026-11-26: a week in 377 s and two days in 64 s on a busy machine; 2,399 renewals of 7 outputs and 6 starts, 5 of which prehog saw, none twice; \
                         expired for 23 h in an outage of 24 h, and for 5 h on a disk that was full for 6 h, as their lifetimes allow",
                mutation: "`keep_identity_fresh` in `src/agent/runtime/continuous.rs` does not retry after a failure, `write` in \
                           `src/agent/destination/directory_writer.rs` forgets that a set was not written or leaves a file open, `recover_and_test` there \
                           never allows that set again, `follow_rotations` in `src/agent/runtime/rotation.rs` renews nothing, or \
                           `tbot start` sends another event at SIGHUP",
            },
        ],
        not_shown: &[
            "what happens on a disk that loses data after it has confirmed a write",
            "that a real week passes in the same way: the simulated one has a development cluster, a network without delays and clocks that \
             agree, its time leaps by up to half a minute while both programs do nothing, and the maintenance of prehog's store, which follows \
             another clock, is not due in it",
        ],
    },
    Claim {
        name: "All stores give the same report",
        statement: "Every store gives the same report for the same events. On a cluster, receivers and servers can be killed: no \
                    acknowledged event is lost, and none counts twice.",
        checks: &[
            Check {
                shows: "Every store counts the same",
                command: ".ci/clickhouse .ci/clickhouse-cluster .ci/chdb cargo test --locked --workspace --test prehog -- \
                          --include-ignored stores",
                needs: &["clickhouse", "zookeeper", "curl", "chdb"],
                full: Full::Same,
                figure: "SQLite; ClickHouse 18.16, alone, with two replicas, and with two shards of two replicas each; ClickHouse 26.9, alone \
                         and through the tables of a cluster with one member",
                mutation: "`create_distributed` in `prehog/src/store/clickhouse/layout.rs` distributes submissions by day instead of id",
            },
            Check {
                shows: "Three receivers behind one name, and their servers, can be killed",
                command: ".ci/clickhouse-cluster cargo test --locked --workspace --test prehog -- --ignored on_cluster \
                          --nocapture",
                needs: &["clickhouse", "zookeeper", "curl"],
                full: Full::Command(
                    "PREHOG_TEST_KILLS=100 .ci/clickhouse-cluster cargo test --locked --workspace --test prehog -- --ignored \
                     on_cluster --nocapture",
                ),
                figure: "9 kills of 3 receivers and 1 of a replica of each of two shards by default",
                mutation: "prehog acknowledges an event whether or not it is stored, `append` in `prehog/src/store/clickhouse.rs` \
                           stores a new id with each repetition, or `all_settings` in `prehog/src/store/clickhouse/layout.rs` sets a \
                           quorum of one replica",
            },
        ],
        not_shown: &[
            "that ClickHouse Cloud works: prehog follows its documentation",
            "replication of a current version: its tests have one engine, so replicas are those of 18.16",
        ],
    },
    Claim {
        name: "Supply chain",
        statement: "Every dependency has a reason and a permitted licence and comes from crates.io, no code of this repository is \
                    unsafe, two builds give the same binary, and a command lists what a program consists of.",
        checks: &[
            Check {
                shows: "Every dependency has a reason, and unsafe code does not compile",
                command: "cargo test --locked --workspace --test dependencies",
                needs: &[],
                full: Full::Same,
                figure: "all dependencies of the 8 members; see [Dependencies](dependencies.md)",
                mutation: "a row is removed from the page, or a member does not inherit the lints of the workspace",
            },
            Check {
                shows: "Licences and sources are permitted",
                command: "cargo deny --locked check --hide-inclusion-graph licenses bans sources",
                needs: &["cargo-deny"],
                full: Full::Command(
                    "cargo deny --locked check --hide-inclusion-graph advisories licenses bans sources",
                ),
                figure: "no finding",
                mutation: "`MIT` is removed from `deny.toml`",
            },
            Check {
                shows: "Two builds give the same files",
                command: "cargo test --locked --workspace --test packages -- --ignored archives",
                needs: &["cargo-deb", "dpkg"],
                full: Full::Command("cargo xtask reproduce"),
                figure: "archives, packages and bills of materials of two runs are the same; so are two release builds of both programs \
                         in different directories (2026-11-27)",
                mutation: "`--mtime` is removed from `xtask/src/dist/archive.rs`",
            },
            Check {
                shows: "A bill of materials names what is linked",
                command: "cargo test --locked --workspace --bin xtask -- sbom",
                needs: &[],
                full: Full::Same,
                figure: "`cargo xtask sbom` prints it: each crate with its version, licence and checksum",
                mutation: "`--edges normal,no-proc-macro` is removed from `xtask/src/sbom.rs`",
            },
        ],
        not_shown: &[
            "that the code of a dependency is harmless: nobody has read all of it, and dependencies contain unsafe code",
            "that another compiler or another version of Debian gives the same binary: the same one is needed",
        ],
    },
];
