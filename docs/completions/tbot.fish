# Completes tbot in fish. Printed by `tbot completions fish`.
function __tbot_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l candidates (tbot __complete -- $words[2..] 2>/dev/null)
    if set -q candidates[1]
        printf '%s\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c tbot -f -a '(__tbot_complete)'
