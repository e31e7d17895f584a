//! Of the verbs that ask a hub, or look after one.

use super::Examples;

pub(super) const ALL: &[(&str, Examples)] = &[
    ("targets", &[("reconctl targets list", "What is watched.")]),
    (
        "targets add",
        &[(
            "reconctl targets add 10.20.0.7 www.example.org",
            "Watch an address and a name.",
        )],
    ),
    (
        "targets import",
        &[
            (
                "reconctl targets import hosts.txt --group lab",
                "Watch what a file lists.",
            ),
            (
                "reconctl targets import masscan.json --project season",
                "Watch what masscan -oJ found (nmap -oX does as well).",
            ),
        ],
    ),
    (
        "targets list",
        &[(
            "reconctl targets list --group lab --due kaze_port_scan",
            "What of a group waits for kaze.",
        )],
    ),
    (
        "targets show",
        &[("reconctl targets show 10.0.0.0/8", "How far a network is.")],
    ),
    (
        "targets skip",
        &[("reconctl targets skip 10.20.0.7", "Leave it alone.")],
    ),
    (
        "targets unskip",
        &[("reconctl targets unskip 10.20.0.7", "No longer.")],
    ),
    (
        "targets export",
        &[(
            "reconctl targets export --format csv -o targets.csv",
            "All of them, for a spreadsheet.",
        )],
    ),
    (
        "targets rm",
        &[("reconctl targets rm 10.20.0.7", "Watch it no more.")],
    ),
    (
        "spider",
        &[
            (
                "reconctl spider https://www.example.org/",
                "Every page that links lead to, with its forms, endpoints, secrets and technologies.",
            ),
            (
                "reconctl spider www.example.org --max-pages 500 --har site.har --jsonl > pages.jsonl",
                "500 pages at most, a line for each, and all requests and responses as a HAR file.",
            ),
            (
                "reconctl spider https://www.example.org/ --robots --csv > pages.csv",
                "As robots.txt wants it, for a spreadsheet.",
            ),
            (
                "reconctl spider https://app.example.org/ --browser --screenshots pictures",
                "Pages as Chromium makes them when their scripts run, with a picture of each.",
            ),
        ],
    ),
    (
        "enumerate",
        &[
            (
                "reconctl enumerate https://www.example.org/",
                "Paths that nothing links to, by the word list that recon brings along.",
            ),
            (
                "reconctl enumerate https://www.example.org/app/ -w words.txt -x php,bak --depth 1",
                "By a list of one's own, with two extensions, and one directory deep.",
            ),
        ],
    ),
    (
        "scan",
        &[
            (
                "reconctl scan 10.20.0.0/24 www.example.org",
                "The 1,000 ports that are most often open, the usual UDP services, and what listens.",
            ),
            (
                "reconctl scan 10.20.0.7 --quality accurate --all-formats web",
                "Every port of one host, written as web.xml, web.csv and the others as well.",
            ),
            (
                "reconctl scan 10.20.0.0/16 --ports 22,80,443 --no-udp --no-services --format jsonl -o hosts.jsonl",
                "Three ports of many hosts, a line for each host.",
            ),
            (
                "reconctl scan --resume recon-scan-2026-11-21-140312.resume",
                "Go on with a scan that was interrupted.",
            ),
        ],
    ),
    ("scans", &[("reconctl scans list", "What was found.")]),
    (
        "scans list",
        &[(
            "reconctl scans list --target 10.20.0.7",
            "The scans of one target.",
        )],
    ),
    (
        "scans export",
        &[(
            "reconctl scans export --type kaze_port_scan -o scans.jsonl",
            "All scans of kaze, one JSON object a line.",
        )],
    ),
    (
        "scans show",
        &[("reconctl scans show 10.20.0.7", "Its last scan in detail.")],
    ),
    (
        "hub",
        &[(
            "reconctl hub token list",
            "Who may use the hub, and since when they have not.",
        )],
    ),
    (
        "hub token",
        &[("reconctl hub token list", "Who may use the hub.")],
    ),
    (
        "hub token create",
        &[
            (
                "reconctl hub token create --role agent --agent kaze --on-host scan2 --out kaze.token",
                "For one agent on another host; give it the file as its credential hub-token.",
            ),
            (
                "reconctl hub token create --role viewer --expires 90d",
                "For somebody who only looks, for three months.",
            ),
        ],
    ),
    (
        "hub token list",
        &[("reconctl hub token list", "All tokens, revoked ones, too.")],
    ),
    (
        "hub token revoke",
        &[(
            "reconctl hub token revoke 019a9b3c-0000-7000-8000-000000000000",
            "Put its bearer out at once.",
        )],
    ),
    (
        "hub token rotate-local",
        &[(
            "reconctl hub token rotate-local",
            "Another token for the agents of this host, when somebody may have seen theirs.",
        )],
    ),
    (
        "hub audit",
        &[(
            "reconctl hub audit --limit 20",
            "Who changed what, the last first.",
        )],
    ),
    (
        "hub backup",
        &[
            (
                "reconctl hub backup /var/backups/recon.db",
                "Copy the database while the hub runs.",
            ),
            ("reconctl hub backup -", "The same, for a pipe."),
        ],
    ),
    (
        "hub restore",
        &[(
            "reconctl hub restore --force /var/backups/recon.db",
            "Stop the hub, put the copy in place, start it again.",
        )],
    ),
    (
        "hub vacuum",
        &[("reconctl hub vacuum", "Make its file small again.")],
    ),
    (
        "hub check",
        &[("reconctl hub check", "Whether the hub's database is sound.")],
    ),
    (
        "report",
        &[
            (
                "reconctl report -o report.html",
                "All that was assessed, for a browser or a printer.",
            ),
            (
                "reconctl report lab --format csv --min-severity medium --status open -o lab.csv",
                "What is to be seen to in a group, for a spreadsheet.",
            ),
            (
                "reconctl report www.example.org --format sarif --fail-on high > www.sarif",
                "One target, for a pipeline that is to stop (exit code 7) when something is high or critical.",
            ),
        ],
    ),
    (
        "changes",
        &[
            (
                "reconctl changes --since 7d",
                "What changed in the last week.",
            ),
            (
                "reconctl changes --target 10.20.0.7 --type port_opened",
                "The ports that one target opened.",
            ),
        ],
    ),
    (
        "changes export",
        &[(
            "reconctl changes export --since 30d --format csv -o changes.csv",
            "The changes of a month, for a spreadsheet.",
        )],
    ),
    (
        "events",
        &[
            (
                "reconctl events -f --type change_detected",
                "Wait for changes and show each.",
            ),
            (
                "reconctl --jsonl events --since 24h",
                "What happened since yesterday, for scripts.",
            ),
        ],
    ),
    (
        "assess",
        &[
            (
                "reconctl assess www.example.org --explain",
                "What is wrong with it, how bad that is and why, by what the hub knows.",
            ),
            (
                "reconctl assess context.json --database ./vulndb --json",
                "Of a file, without a hub, for a program.",
            ),
        ],
    ),
    (
        "rules",
        &[("reconctl rules list", "What an assessment looks for.")],
    ),
    (
        "rules list",
        &[
            (
                "reconctl rules list --subject service --severity high",
                "What is said of open ports, and may be bad.",
            ),
            (
                "reconctl rules list --category tls --json",
                "The rules about TLS, for a program.",
            ),
        ],
    ),
    (
        "rules show",
        &[(
            "reconctl rules show redis-no-auth",
            "Why it is bad, how bad, and what to do.",
        )],
    ),
    (
        "rules fields",
        &[(
            "reconctl rules fields tls",
            "What a rule may ask of TLS on an open port.",
        )],
    ),
    (
        "rules test",
        &[(
            "reconctl rules test /etc/recon/rules.d/mine.toml",
            "Whether a rule of one's own finds what its tests say.",
        )],
    ),
    (
        "rules lint",
        &[(
            "reconctl rules lint",
            "Whether every rule of the package and of one's own is sound.",
        )],
    ),
    (
        "findings",
        &[(
            "reconctl findings list --status open",
            "What should be looked at, the worst first.",
        )],
    ),
    (
        "findings list",
        &[
            (
                "reconctl findings list --min-severity high --status open --csv",
                "What is bad, as CSV.",
            ),
            (
                "reconctl findings list --group lab --fail-on high",
                "For a pipeline: ends with 7 while a finding as bad as that is open in the group.",
            ),
        ],
    ),
    (
        "findings show",
        &[(
            "reconctl findings show 01980c2e-7a51-7cc3-98c4-dc0c0c07398f",
            "What shows it, why it is as bad as that, and what to do.",
        )],
    ),
    (
        "findings accept",
        &[(
            "reconctl findings accept 01980c2e-7a51-7cc3-98c4-dc0c0c07398f --reason TICKET-42 --for 90d",
            "Live with it for 90 days; then it is open again.",
        )],
    ),
    (
        "findings false-positive",
        &[(
            "reconctl findings false-positive 01980c2e-7a51-7cc3-98c4-dc0c0c07398f --reason mended-by-the-distribution --until 2027-06-30",
            "It is none, until the middle of next year; without --until or --for it is none for good.",
        )],
    ),
    (
        "findings reopen",
        &[(
            "reconctl findings reopen 01980c2e-7a51-7cc3-98c4-dc0c0c07398f",
            "Take back what was decided.",
        )],
    ),
    (
        "findings export",
        &[(
            "reconctl findings export -o findings.jsonl",
            "All findings, one JSON object a line.",
        )],
    ),
    (
        "pages",
        &[(
            "reconctl pages www.example.org --status 500",
            "Pages that answered with an error of the server.",
        )],
    ),
    (
        "forms",
        &[(
            "reconctl forms www.example.org --method POST --all --jsonl",
            "All forms that send something, one JSON object a line.",
        )],
    ),
    (
        "endpoints",
        &[(
            "reconctl endpoints www.example.org --contains /api/ --csv",
            "What scripts ask for below /api/, for a spreadsheet.",
        )],
    ),
    (
        "vulndb",
        &[("reconctl vulndb info", "What is known, and of what day.")],
    ),
    (
        "vulndb import",
        &[
            (
                "reconctl vulndb import nvdcve-2.0-2024.json.gz known_exploited_vulnerabilities.json epss_scores-current.csv.gz",
                "What NVD, CISA and FIRST say, fetched before.",
            ),
            (
                "reconctl vulndb import feeds/ debian-tracker.json",
                "All feeds of a directory, and which packages of Debian are fixed.",
            ),
        ],
    ),
    (
        "vulndb info",
        &[("reconctl vulndb info --check", "Whether the file is sound.")],
    ),
    (
        "vulndb lookup",
        &[
            (
                "reconctl vulndb lookup CVE-2024-6387",
                "What is known of it.",
            ),
            (
                "reconctl vulndb lookup cpe:/a:php:php:8.2.7 --banner PHP/8.2.7-1+deb12u1",
                "What a server has that says so of itself.",
            ),
            (
                "reconctl vulndb lookup nginx 1.18.0",
                "By name and version.",
            ),
        ],
    ),
];
