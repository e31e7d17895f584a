//! The ways in, as data: what must have been found for each of their steps.
//!
//! Techniques and names are those of MITRE ATT&CK Enterprise 17 (T0831: ATT&CK for ICS).

use Need::{Category, Exploited, LocalCve, Login, Panel, RemoteCve, Rule, Rules};

use crate::api::RiskLevel;

/// A way in.
pub struct Chain {
    /// Its name, which does not change.
    pub id: &'static str,
    /// In words.
    pub title: &'static str,
    /// How bad it is where the address is public; one level less where it is known not to be.
    pub severity: RiskLevel,
    /// Where its findings must be.
    pub scope: Scope,
    /// As many findings must it rest on.
    pub least: usize,
    /// Step by step.
    pub steps: &'static [Step],
}

/// Where findings must be.
pub enum Scope {
    /// In the same place.
    Place,
    /// Anywhere on the record.
    Record,
}

/// A step of a way in.
pub struct Step {
    /// Technique of ATT&CK.
    pub technique: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What somebody would do.
    pub does: &'static str,
    /// What must have been found: any of these.
    pub any_of: &'static [Need],
}

/// What must have been found.
#[derive(Debug)]
pub enum Need {
    /// A finding of this rule.
    Rule(&'static str),
    /// A finding of a rule whose id begins so.
    Rules(&'static str),
    /// A finding of this category.
    Category(&'static str),
    /// A page that administers something.
    Panel,
    /// A vulnerability that is exploited in the wild, to be used from afar.
    Exploited,
    /// A known vulnerability, high or worse, to be used from afar.
    RemoteCve,
    /// A known vulnerability, high or worse, to be used on the host.
    LocalCve,
    /// A place to log in.
    Login,
}

/// All of them.
pub const CHAINS: &[Chain] = &[
    Chain {
        id: "exposed-panel-exploited",
        title: "An administration page with a vulnerability that is exploited",
        severity: RiskLevel::Critical,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1592.002",
                name: "Gather Victim Host Information: Software",
                does: "find the administration page and the version of what runs it",
                any_of: &[Panel],
            },
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "use a vulnerability of it that is exploited elsewhere",
                any_of: &[Exploited],
            },
        ],
    },
    Chain {
        id: "exposed-panel-outdated",
        title: "An administration page on software with known weaknesses",
        severity: RiskLevel::High,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1592.002",
                name: "Gather Victim Host Information: Software",
                does: "find the administration page and the version of what runs it",
                any_of: &[Panel],
            },
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "use a known vulnerability of the version that is there",
                any_of: &[RemoteCve, Category("outdated-software")],
            },
        ],
    },
    Chain {
        id: "exploited-then-root",
        title: "A vulnerability that is exploited, then one on the host",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "get in by a vulnerability that is exploited elsewhere",
                any_of: &[Exploited],
            },
            Step {
                technique: "T1068",
                name: "Exploitation for Privilege Escalation",
                does: "become the administrator of the host by a second one",
                any_of: &[LocalCve],
            },
        ],
    },
    Chain {
        id: "open-database-leaks-secrets",
        title: "A database without authentication beside a login",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "read the database, which asks for no password",
                any_of: &[
                    Rule("redis-no-auth"),
                    Rule("mongodb-no-auth"),
                    Rule("elasticsearch-no-auth"),
                    Rule("memcached-exposed"),
                    Rule("postgresql-trust"),
                    Rule("etcd-exposed"),
                    Rule("hadoop-exposed"),
                ],
            },
            Step {
                technique: "T1078",
                name: "Valid Accounts",
                does: "log in with the accounts and sessions that are in it",
                any_of: &[Login, Rule("ssh-exposed")],
            },
        ],
    },
    Chain {
        id: "open-redis-to-shell",
        title: "Redis without authentication on a host with SSH",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "write files of the host through the configuration of Redis, which asks for no password",
                any_of: &[Rule("redis-no-auth")],
            },
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "log in by SSH with a key that was written so",
                any_of: &[Rule("ssh-exposed")],
            },
        ],
    },
    Chain {
        id: "leaked-secret-login",
        title: "A leaked secret and a place to use it",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1552.001",
                name: "Unsecured Credentials: Credentials In Files",
                does: "read a secret that is served to everybody",
                any_of: &[
                    Category("secret"),
                    Rule("env-file"),
                    Rule("config-backup"),
                    Rule("config-file"),
                    Rule("private-key-file"),
                    Rule("well-known-secret-files"),
                    Rule("shell-history"),
                ],
            },
            Step {
                technique: "T1078",
                name: "Valid Accounts",
                does: "log in with it",
                any_of: &[
                    Login,
                    Rule("ssh-exposed"),
                    Rules("rdp-"),
                    Rules("mysql-exposed"),
                    Rules("postgresql-exposed"),
                    Rules("mssql-exposed"),
                ],
            },
        ],
    },
    Chain {
        id: "vcs-source-secrets",
        title: "Source code with its secrets from a served repository",
        severity: RiskLevel::Critical,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1213.003",
                name: "Data from Information Repositories: Code Repositories",
                does: "fetch the repository and with it the source and its history",
                any_of: &[Rule("vcs-git"), Rule("vcs-other")],
            },
            Step {
                technique: "T1552.001",
                name: "Unsecured Credentials: Credentials In Files",
                does: "take passwords and keys from it and from files beside it",
                any_of: &[
                    Rule("env-file"),
                    Rule("config-backup"),
                    Rule("config-file"),
                    Rule("database-dump"),
                    Rule("backup-archive"),
                    Rule("backup-source"),
                    Rule("private-key-file"),
                    Rule("well-known-secret-files"),
                    Rule("shell-history"),
                    Rule("actuator-heapdump"),
                    Rule("phpinfo"),
                    Category("secret"),
                ],
            },
        ],
    },
    Chain {
        id: "vcs-source-exploit",
        title: "Source code from a served repository, then a known weakness",
        severity: RiskLevel::High,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1213.003",
                name: "Data from Information Repositories: Code Repositories",
                does: "fetch the repository and with it the source and its history",
                any_of: &[Rule("vcs-git"), Rule("vcs-other")],
            },
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "use a known weakness of what it runs on",
                any_of: &[Exploited, RemoteCve, Category("outdated-software")],
            },
        ],
    },
    Chain {
        id: "listing-to-backup",
        title: "A directory listing that leads to backups",
        severity: RiskLevel::High,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1083",
                name: "File and Directory Discovery",
                does: "read the listing of a directory",
                any_of: &[Rule("directory-listing"), Rule("directory-listing-title")],
            },
            Step {
                technique: "T1005",
                name: "Data from Local System",
                does: "fetch backups and dumps that nothing links to",
                any_of: &[
                    Rule("backup-archive"),
                    Rule("backup-source"),
                    Rule("config-backup"),
                    Rule("database-dump"),
                    Rule("log-files"),
                    Rule("env-file"),
                ],
            },
        ],
    },
    Chain {
        id: "dump-to-accounts",
        title: "A dump or backup beside a login",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1005",
                name: "Data from Local System",
                does: "fetch a dump or backup that is served",
                any_of: &[
                    Rule("database-dump"),
                    Rule("backup-archive"),
                    Rule("config-backup"),
                ],
            },
            Step {
                technique: "T1078",
                name: "Valid Accounts",
                does: "log in with accounts from it",
                any_of: &[Login],
            },
        ],
    },
    Chain {
        id: "weak-tls-login",
        title: "A login over weak TLS",
        severity: RiskLevel::Medium,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1557",
                name: "Adversary-in-the-Middle",
                does: "get between a user and the server by its old protocols, ciphers or certificate",
                any_of: &[
                    Rule("tls-10-11"),
                    Rule("tls-no-12"),
                    Rule("tls-sslv2"),
                    Rule("tls-sslv3"),
                    Rule("tls-rc4"),
                    Rule("tls-3des"),
                    Rule("tls-null-cipher"),
                    Rule("tls-anonymous"),
                    Rule("tls-export-cipher"),
                    Rule("cert-expired"),
                    Rule("cert-self-signed"),
                    Rule("cert-name-mismatch"),
                    Rule("cert-weak-key"),
                ],
            },
            Step {
                technique: "T1539",
                name: "Steal Web Session Cookie",
                does: "take the password or session that goes over it",
                any_of: &[Login, Rule("cookie-not-secure"), Rule("form-no-token")],
            },
        ],
    },
    Chain {
        id: "clear-text-login",
        title: "A login without encryption",
        severity: RiskLevel::High,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1040",
                name: "Network Sniffing",
                does: "read what is sent in clear on the way",
                any_of: &[
                    Category("clear-text"),
                    Category("mail"),
                    Rule("password-form-http"),
                    Rule("cookie-by-http"),
                ],
            },
            Step {
                technique: "T1078",
                name: "Valid Accounts",
                does: "log in with the password that was read",
                any_of: &[
                    Rule("password-form-http"),
                    Rule("basic-auth-clear-text"),
                    Rule("ftp-clear-text"),
                    Rule("telnet"),
                    Rule("imap-clear-text"),
                    Rule("pop3-clear-text"),
                    Rule("smtp-auth-clear-text"),
                    Login,
                ],
            },
        ],
    },
    Chain {
        id: "default-page-management",
        title: "A fresh installation with an open management port",
        severity: RiskLevel::High,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1592.002",
                name: "Gather Victim Host Information: Software",
                does: "see by its default page that the installation is unfinished",
                any_of: &[Category("default-page")],
            },
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "get in by a management service that is open, where default passwords may still hold",
                any_of: &[
                    Panel,
                    Rule("ipmi-exposed"),
                    Rule("snmp-public"),
                    Rule("webmin-exposed"),
                    Rule("vnc-exposed"),
                    Rule("vnc-no-auth"),
                    Rule("telnet"),
                    Rule("firewall-admin-exposed"),
                ],
            },
        ],
    },
    Chain {
        id: "installer-takeover",
        title: "An installer that anybody can run",
        severity: RiskLevel::Critical,
        scope: Scope::Place,
        least: 1,
        steps: &[
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "run the installer and make oneself its administrator",
                any_of: &[Rule("installer")],
            },
            Step {
                technique: "T1505.003",
                name: "Server Software Component: Web Shell",
                does: "put code on the server by what it installs",
                any_of: &[Category("default-page"), Category("outdated-software")],
            },
        ],
    },
    Chain {
        id: "rdp-weak",
        title: "Remote Desktop with a weakness",
        severity: RiskLevel::Critical,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "reach Remote Desktop from outside",
                any_of: &[Rule("rdp-exposed")],
            },
            Step {
                technique: "T1021.001",
                name: "Remote Services: Remote Desktop Protocol",
                does: "log in by guessing or by a weakness of it",
                any_of: &[
                    Rule("rdp-no-nla"),
                    Exploited,
                    RemoteCve,
                    Rule("tls-10-11"),
                    Rule("tls-no-12"),
                    Rule("tls-sslv2"),
                    Rule("tls-sslv3"),
                    Rule("tls-rc4"),
                    Rule("tls-3des"),
                    Rule("tls-null-cipher"),
                    Rule("tls-anonymous"),
                    Rule("tls-export-cipher"),
                    Rule("cert-expired"),
                    Rule("cert-self-signed"),
                    Rule("cert-name-mismatch"),
                    Rule("cert-weak-key"),
                ],
            },
        ],
    },
    Chain {
        id: "smb-weak",
        title: "File sharing of Windows with a weakness",
        severity: RiskLevel::Critical,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "reach file sharing from outside",
                any_of: &[Rule("smb-exposed")],
            },
            Step {
                technique: "T1210",
                name: "Exploitation of Remote Services",
                does: "use its old protocol or a known vulnerability",
                any_of: &[Rule("smb1"), Rule("smb-signing"), Exploited, RemoteCve],
            },
        ],
    },
    Chain {
        id: "windows-unsupported",
        title: "A Windows that is not maintained, with its services open",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "reach Remote Desktop or file sharing",
                any_of: &[
                    Rule("rdp-exposed"),
                    Rule("smb-exposed"),
                    Rule("msrpc-exposed"),
                ],
            },
            Step {
                technique: "T1210",
                name: "Exploitation of Remote Services",
                does: "use a weakness of a system that gets no corrections",
                any_of: &[Rule("windows-eol")],
            },
        ],
    },
    Chain {
        id: "cors-session",
        title: "Foreign pages that read what a session sees",
        severity: RiskLevel::High,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1189",
                name: "Drive-by Compromise",
                does: "bring a user with a session to a page of one's own",
                any_of: &[
                    Rules("cookie-no-samesite"),
                    Rules("cookie-samesite-none"),
                    Category("cookie"),
                ],
            },
            Step {
                technique: "T1185",
                name: "Browser Session Hijacking",
                does: "read the site with the user's session, as it lets other origins",
                any_of: &[
                    Rule("cors-wildcard-credentials"),
                    Rule("cors-null"),
                    Rule("cors-http-origin"),
                ],
            },
        ],
    },
    Chain {
        id: "session-theft-script",
        title: "A script that takes sessions",
        severity: RiskLevel::Medium,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1189",
                name: "Drive-by Compromise",
                does: "have a script run in the page, which no policy stops",
                any_of: &[
                    Rule("csp-missing"),
                    Rule("csp-unsafe-inline"),
                    Rule("csp-wildcard"),
                ],
            },
            Step {
                technique: "T1059",
                name: "Command and Scripting Interpreter",
                does: "use a script library with a known weakness",
                any_of: &[
                    Rule("jquery-xss"),
                    Rule("jquery-ui-xss"),
                    Rule("angularjs-eol"),
                    Rule("bootstrap-eol"),
                    Rule("vue2-eol"),
                ],
            },
            Step {
                technique: "T1539",
                name: "Steal Web Session Cookie",
                does: "read a session that scripts may see",
                any_of: &[Rule("cookie-not-httponly")],
            },
        ],
    },
    Chain {
        id: "docker-api-escape",
        title: "Docker's interface without authentication",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 1,
        steps: &[
            Step {
                technique: "T1610",
                name: "Deploy Container",
                does: "start a container by the interface, which asks for nothing",
                any_of: &[Rule("docker-api-no-auth")],
            },
            Step {
                technique: "T1611",
                name: "Escape to Host",
                does: "mount the disk of the host in it, and leave the container",
                any_of: &[Rule("docker-api-no-auth")],
            },
        ],
    },
    Chain {
        id: "kubelet-escape",
        title: "A kubelet or Kubernetes interface that answers strangers",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 1,
        steps: &[
            Step {
                technique: "T1609",
                name: "Container Administration Command",
                does: "run commands in containers by the interface",
                any_of: &[Rule("kubernetes-api-anonymous")],
            },
            Step {
                technique: "T1611",
                name: "Escape to Host",
                does: "leave the container for the host",
                any_of: &[Rule("kubernetes-api-anonymous")],
            },
        ],
    },
    Chain {
        id: "kubernetes-cluster",
        title: "A cluster's database and its interface",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1552",
                name: "Unsecured Credentials",
                does: "read the secrets of the cluster from etcd, which asks for nothing",
                any_of: &[Rule("etcd-exposed")],
            },
            Step {
                technique: "T1609",
                name: "Container Administration Command",
                does: "use them at the interface of the cluster",
                any_of: &[
                    Rule("kubernetes-api-exposed"),
                    Rule("kubernetes-api-anonymous"),
                    Rule("kubelet-exposed"),
                ],
            },
        ],
    },
    Chain {
        id: "code-by-design",
        title: "A service that runs code for everybody",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 1,
        steps: &[
            Step {
                technique: "T1190",
                name: "Exploit Public-Facing Application",
                does: "reach a service that asks for no password",
                any_of: &[
                    Rule("jupyter-exposed"),
                    Rule("node-red-exposed"),
                    Rule("jdwp"),
                    Rule("distcc"),
                    Rule("adb"),
                    Rule("spark-exposed"),
                    Rule("flink-exposed"),
                    Rule("hadoop-exposed"),
                    Rule("jenkins-open"),
                    Rule("nomad-exposed"),
                    Rule("solr-exposed"),
                    Rule("debugger-open"),
                    Rule("jolokia"),
                ],
            },
            Step {
                technique: "T1059",
                name: "Command and Scripting Interpreter",
                does: "have it run commands, which it is made for",
                any_of: &[
                    Rule("jupyter-exposed"),
                    Rule("node-red-exposed"),
                    Rule("jdwp"),
                    Rule("distcc"),
                    Rule("adb"),
                    Rule("spark-exposed"),
                    Rule("flink-exposed"),
                    Rule("hadoop-exposed"),
                    Rule("jenkins-open"),
                    Rule("nomad-exposed"),
                    Rule("debugger-open"),
                    Rule("jolokia"),
                ],
            },
        ],
    },
    Chain {
        id: "debug-to-secrets",
        title: "Debugging pages that tell secrets",
        severity: RiskLevel::High,
        scope: Scope::Place,
        least: 2,
        steps: &[
            Step {
                technique: "T1592.002",
                name: "Gather Victim Host Information: Software",
                does: "read from debugging pages how the application is built",
                any_of: &[Category("debug")],
            },
            Step {
                technique: "T1552",
                name: "Unsecured Credentials",
                does: "take secrets from what it shows or serves",
                any_of: &[
                    Rule("actuator-heapdump"),
                    Rule("env-file"),
                    Rule("phpinfo"),
                    Rule("debugger-open"),
                    Category("secret"),
                ],
            },
        ],
    },
    Chain {
        id: "proxy-to-inside",
        title: "An open proxy in front of services that trust the inside",
        severity: RiskLevel::High,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1090",
                name: "Proxy",
                does: "send requests through the proxy",
                any_of: &[Rule("socks-open"), Rule("http-proxy")],
            },
            Step {
                technique: "T1210",
                name: "Exploitation of Remote Services",
                does: "reach through it what has no authentication of its own",
                any_of: &[Category("missing-authentication")],
            },
        ],
    },
    Chain {
        id: "snmp-to-device",
        title: "Names and settings by SNMP, then the device",
        severity: RiskLevel::High,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1602",
                name: "Data from Configuration Repository",
                does: "read the configuration by SNMP with a well-known community",
                any_of: &[Rule("snmp-public")],
            },
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "log in to a management service of the device",
                any_of: &[
                    Rule("telnet"),
                    Rule("ssh-exposed"),
                    Rule("firewall-admin-exposed"),
                    Rule("ipmi-exposed"),
                    Panel,
                ],
            },
        ],
    },
    Chain {
        id: "users-to-guessing",
        title: "Names of users, then their passwords",
        severity: RiskLevel::Medium,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1087",
                name: "Account Discovery",
                does: "collect names of users",
                any_of: &[
                    Rule("wp-users"),
                    Rule("smtp-vrfy"),
                    Rule("finger"),
                    Rule("ldap-anonymous"),
                ],
            },
            Step {
                technique: "T1110.003",
                name: "Brute Force: Password Spraying",
                does: "try common passwords with them",
                any_of: &[
                    Rule("wp-xmlrpc"),
                    Rule("admin-login"),
                    Rule("ssh-exposed"),
                    Rules("password-form"),
                ],
            },
        ],
    },
    Chain {
        id: "dangling-to-sessions",
        title: "A name that others can take, and its cookies",
        severity: RiskLevel::High,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1584.001",
                name: "Compromise Infrastructure: Domains",
                does: "take the service that a name still points to",
                any_of: &[Category("dangling-dns")],
            },
            Step {
                technique: "T1539",
                name: "Steal Web Session Cookie",
                does: "receive the cookies of the domain there",
                any_of: &[Rule("cookie-wide-domain")],
            },
        ],
    },
    Chain {
        id: "control-system-reached",
        title: "Industrial control beside a way into the host",
        severity: RiskLevel::Critical,
        scope: Scope::Record,
        least: 2,
        steps: &[
            Step {
                technique: "T1133",
                name: "External Remote Services",
                does: "get in by a remote service",
                any_of: &[
                    Rule("vnc-no-auth"),
                    Rule("vnc-exposed"),
                    Rule("rdp-exposed"),
                    Rule("telnet"),
                ],
            },
            Step {
                technique: "T0831",
                name: "Manipulation of Control",
                does: "give commands to the plant, whose protocol knows no passwords",
                any_of: &[Category("industrial-control")],
            },
        ],
    },
];
