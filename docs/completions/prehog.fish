# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_prehog_global_optspecs
    string join \n log-format= h/help V/version
end

function __fish_prehog_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_prehog_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_prehog_using_subcommand
    set -l cmd (__fish_prehog_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c prehog -n "__fish_prehog_needs_command" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_needs_command" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_needs_command" -s V -l version -d 'Print version'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "serve" -d 'Receive and store events'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "report" -d 'Print the usage report'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "backup" -d 'Copy a SQLite store to a file, also while `prehog serve` uses it'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "retain" -d 'Remove old starts and expired ids'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "export" -d 'Export starts as JSON lines'
complete -c prehog -n "__fish_prehog_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l store -d 'Store of the events: sqlite:PATH or clickhouse:https://HOST:8443/DATABASE [env: PREHOG_STORE]' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l listen -d 'Address to receive events on (IP:PORT)' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l report-listen -d 'Address (IP:PORT) to serve the report on [default: not served]' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l metrics-listen -d 'Address (IP:PORT) to serve metrics on [default: not served]' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l min-group -d 'Hide groups with fewer than N starts in a week; at least 10' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l retain-days -d 'Keep starts for at most N days (14 or more) [default: keep them forever]' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l max-store-mib -d 'Maximum size of the store in MiB; 0 for no limit' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l rate-limit -d 'Requests per minute and client; 0 for no limit' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l trusted-proxy -d 'Address of a proxy whose X-Forwarded-For is trusted; can be repeated' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l max-connections -d 'Maximum number of open connections; at least 1' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l max-requests -d 'Maximum number of concurrent requests; at least 1' -r
complete -c prehog -n "__fish_prehog_using_subcommand serve" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_using_subcommand serve" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_using_subcommand report" -l store -d 'Store of the events: sqlite:PATH or clickhouse:https://HOST:8443/DATABASE [env: PREHOG_STORE]' -r
complete -c prehog -n "__fish_prehog_using_subcommand report" -l format -d 'Format of the report: html, json or csv' -r -f -a "html\t''
json\t''
csv\t''"
complete -c prehog -n "__fish_prehog_using_subcommand report" -l since -d 'First day, extended to its whole week [default: start of the last 12 complete weeks]' -r
complete -c prehog -n "__fish_prehog_using_subcommand report" -l until -d 'Last day, extended to its whole week [default: end of the last complete week]' -r
complete -c prehog -n "__fish_prehog_using_subcommand report" -l min-group -d 'Hide groups with fewer than N starts in a week' -r
complete -c prehog -n "__fish_prehog_using_subcommand report" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_using_subcommand report" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_using_subcommand backup" -l store -d 'Store of the events: sqlite:PATH or clickhouse:https://HOST:8443/DATABASE [env: PREHOG_STORE]' -r
complete -c prehog -n "__fish_prehog_using_subcommand backup" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_using_subcommand backup" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_using_subcommand retain" -l store -d 'Store of the events: sqlite:PATH or clickhouse:https://HOST:8443/DATABASE [env: PREHOG_STORE]' -r
complete -c prehog -n "__fish_prehog_using_subcommand retain" -l days -d 'Keep starts for at most N days (14 or more)' -r
complete -c prehog -n "__fish_prehog_using_subcommand retain" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_using_subcommand retain" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_using_subcommand export" -l store -d 'Store of the events: sqlite:PATH or clickhouse:https://HOST:8443/DATABASE [env: PREHOG_STORE]' -r
complete -c prehog -n "__fish_prehog_using_subcommand export" -l since -d 'First day [default: the first one in the store]' -r
complete -c prehog -n "__fish_prehog_using_subcommand export" -l until -d 'Last day [default: the last one in the store]' -r
complete -c prehog -n "__fish_prehog_using_subcommand export" -l log-format -d 'Format of the log: text or json' -r -f -a "text\t''
json\t''"
complete -c prehog -n "__fish_prehog_using_subcommand export" -s h -l help -d 'Print help'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "serve" -d 'Receive and store events'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "report" -d 'Print the usage report'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "backup" -d 'Copy a SQLite store to a file, also while `prehog serve` uses it'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "retain" -d 'Remove old starts and expired ids'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "export" -d 'Export starts as JSON lines'
complete -c prehog -n "__fish_prehog_using_subcommand help; and not __fish_seen_subcommand_from serve report backup retain export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
