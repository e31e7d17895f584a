//! Of the verbs that are about the fleet file, systemd and the program itself.

use super::Examples;

pub(super) const ALL: &[(&str, Examples)] = &[
    (
        "",
        &[
            (
                "reconctl init",
                "Write a fleet file with comments to begin with.",
            ),
            (
                "reconctl config set scope.allow 10.20.0.0/16",
                "Say what may be touched; nothing else ever is.",
            ),
            (
                "reconctl apply",
                "Make systemd's unit files agree with the fleet file.",
            ),
            (
                "reconctl verify",
                "See what is not as the fleet file says, and what this host cannot do.",
            ),
            (
                "reconctl status",
                "See what runs and how it is; what failed comes first.",
            ),
            ("reconctl logs kaze -f", "Follow the journal of an agent."),
            ("reconctl scans list", "See what was found."),
        ],
    ),
    (
        "check",
        &[
            (
                "reconctl check",
                "Print every error with its file, line and key.",
            ),
            (
                "reconctl check --target-systemd 252",
                "Say as well what Debian 12's systemd cannot do.",
            ),
        ],
    ),
    (
        "render",
        &[
            ("reconctl render", "Print every unit file."),
            (
                "reconctl render --out /tmp/units --target-systemd 252",
                "Write them for another host.",
            ),
        ],
    ),
    (
        "diff",
        &[(
            "reconctl diff",
            "Show what apply would change; exit 1 when something would.",
        )],
    ),
    (
        "apply",
        &[
            ("reconctl apply --dry-run", "Show what would be done."),
            (
                "reconctl apply --now",
                "Do it, and reload or restart the agents that need it.",
            ),
            (
                "reconctl apply --prune",
                "Remove what left the fleet file as well.",
            ),
        ],
    ),
    (
        "verify",
        &[
            ("reconctl verify", "Everything in one report."),
            ("reconctl verify kaze", "One agent."),
            (
                "reconctl verify --target-systemd 257",
                "What another version of systemd could not do.",
            ),
            (
                "reconctl --json verify",
                "For scripts: findings, and the exposure of each unit.",
            ),
        ],
    ),
    (
        "init",
        &[
            (
                "reconctl init",
                "Write /etc/recon/recon.toml, when there is none.",
            ),
            ("reconctl init --stdout", "Look at it first."),
        ],
    ),
    (
        "config",
        &[
            (
                "reconctl config show kaze --origin",
                "All settings of an agent, with the file and line of each.",
            ),
            ("reconctl config set agents.kaze.watchdog 20s", "Set a key."),
        ],
    ),
    (
        "config show",
        &[
            ("reconctl config show", "The whole fleet, as a fleet file."),
            (
                "reconctl config show kaze --origin",
                "One agent, with where each value came from.",
            ),
        ],
    ),
    (
        "config get",
        &[
            (
                "reconctl config get agents.kaze.config.max_scans",
                "One value, for a script.",
            ),
            (
                "reconctl config get --origin fleet.hub",
                "With where it came from.",
            ),
            ("reconctl config get agents.kaze.backoff", "A table."),
        ],
    ),
    (
        "config set",
        &[
            (
                "reconctl config set agents.kaze.config.max_scans 20",
                "A number.",
            ),
            (
                "reconctl config set agents.kaze.watchdog 20s",
                "A length of time.",
            ),
            (
                "reconctl config set scope.allow --append 10.30.0.0/16 *.example.org",
                "Add to a list.",
            ),
            (
                "reconctl config set scope.allow --remove 10.30.0.0/16",
                "Take out of a list.",
            ),
            (
                "reconctl config set agents.kaze-dmz.kind kaze",
                "Add a second kaze.",
            ),
            (
                "reconctl config set --dry-run fleet.profile minimal",
                "Look at the change first.",
            ),
        ],
    ),
    (
        "config unset",
        &[
            (
                "reconctl config unset agents.kaze.watchdog",
                "Back to the default.",
            ),
            (
                "reconctl config unset agents.kaze-dmz",
                "Take an agent out of the fleet file.",
            ),
        ],
    ),
    (
        "config edit",
        &[(
            "reconctl config edit",
            "Edit the fleet file; it is checked before it is kept.",
        )],
    ),
    (
        "generator",
        &[(
            "reconctl generator enable",
            "Have systemd make the units itself at each boot and daemon-reload.",
        )],
    ),
    (
        "generator enable",
        &[(
            "reconctl generator enable",
            "Have systemd make the units itself at each boot and daemon-reload.",
        )],
    ),
    (
        "generator disable",
        &[("reconctl generator disable", "Go back to reconctl apply.")],
    ),
    (
        "generator status",
        &[(
            "reconctl generator status",
            "See whether it is on, and what it said last.",
        )],
    ),
    (
        "scope",
        &[(
            "reconctl scope show",
            "What may be touched, and the addresses that names stand for.",
        )],
    ),
    (
        "scope show",
        &[(
            "reconctl scope show",
            "What may be touched, and the addresses that names stand for.",
        )],
    ),
    (
        "scope check",
        &[(
            "reconctl scope check 10.20.0.7 app.example.org",
            "Allowed or not, and by which rule; exit status 1 when not.",
        )],
    ),
    (
        "scope refresh",
        &[(
            "reconctl scope refresh --dry-run",
            "See what the names resolve to, and change nothing.",
        )],
    ),
    (
        "up",
        &[
            (
                "reconctl up",
                "Start the profile of the fleet file, and stop what is not in it.",
            ),
            (
                "reconctl up --profile minimal",
                "Run another profile until the next boot.",
            ),
        ],
    ),
    (
        "down",
        &[(
            "reconctl down",
            "Stop every agent, dependents before what they need.",
        )],
    ),
    (
        "freeze",
        &[(
            "reconctl freeze my-daemon",
            "Stop all its processes where they are; they keep their memory.",
        )],
    ),
    ("thaw", &[("reconctl thaw my-daemon", "Let them go on.")]),
    (
        "kill",
        &[(
            "reconctl kill --signal KILL kaze",
            "See systemd start it again.",
        )],
    ),
    (
        "enable",
        &[
            (
                "reconctl enable kaze",
                "Start it with its profile from the next boot on.",
            ),
            ("reconctl enable --now kaze", "And at once."),
        ],
    ),
    (
        "disable",
        &[(
            "reconctl disable --now kaze",
            "Stop it, and do not start it at boot.",
        )],
    ),
    (
        "mask",
        &[(
            "reconctl mask --now kaze",
            "Stop it; nothing can start it until unmask.",
        )],
    ),
    (
        "unmask",
        &[("reconctl unmask kaze", "It can be started again.")],
    ),
    (
        "list",
        &[
            (
                "reconctl list",
                "Every agent with its profiles, enabled or not.",
            ),
            (
                "reconctl list --profile minimal --json",
                "The members of one profile, for a script.",
            ),
        ],
    ),
    (
        "tree",
        &[
            (
                "reconctl tree",
                "What each agent needs, and what happens when that fails.",
            ),
            ("reconctl tree --reverse hub", "Who needs the hub."),
        ],
    ),
    (
        "health",
        &[(
            "reconctl health",
            "HEALTHY, DEGRADED or CRITICAL, and why; exit status 0 only when HEALTHY.",
        )],
    ),
    (
        "start",
        &[
            (
                "reconctl start kaze kage",
                "Start two agents and wait until they are ready.",
            ),
            ("reconctl start all", "Start the profile."),
            (
                "reconctl start --force kaze",
                "Clear the failed state and the restart limit first.",
            ),
        ],
    ),
    (
        "stop",
        &[(
            "reconctl stop kaze",
            "Stop an agent; it finishes the task in hand.",
        )],
    ),
    ("restart", &[("reconctl restart kaze", "Restart an agent.")]),
    (
        "reload",
        &[(
            "reconctl reload kaze",
            "Let an agent read its configuration again.",
        )],
    ),
    (
        "pause",
        &[(
            "reconctl pause all",
            "Let every agent rest after the task in hand.",
        )],
    ),
    ("resume", &[("reconctl resume all", "Let them work again.")]),
    (
        "reset",
        &[(
            "reconctl reset --force kaze",
            "Forget that it failed, so that it can be started.",
        )],
    ),
    (
        "status",
        &[
            ("reconctl status", "All agents, what failed first."),
            (
                "reconctl status kaze",
                "One agent in detail, with its last errors.",
            ),
            ("reconctl --json status", "For scripts."),
        ],
    ),
    (
        "logs",
        &[
            ("reconctl logs kaze -f", "Follow one agent."),
            (
                "reconctl logs --level warn --since -1h",
                "What went wrong in the last hour.",
            ),
        ],
    ),
    (
        "completions",
        &[("reconctl completions bash", "The script for bash.")],
    ),
    (
        "man",
        &[
            ("reconctl man config set", "The page of a verb."),
            ("reconctl man recon.toml", "Every key of the fleet file."),
        ],
    ),
];
