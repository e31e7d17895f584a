use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::WorkKind;

/// State of a port, in nmap's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortState {
    /// Something accepted the connection.
    Open,
    /// The host refused it.
    Closed,
    /// No answer, or an ICMP error that a filter sends.
    Filtered,
    /// The host or network cannot be reached.
    Unreachable,
}

/// How many ports ended in which state. The sum is the number of ports scanned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortCounts {
    /// Accepted.
    pub open: u32,
    /// Refused.
    pub closed: u32,
    /// No answer, or filtered by ICMP.
    pub filtered: u32,
    /// Host or network unreachable.
    pub unreachable: u32,
}

impl PortCounts {
    /// Number of ports scanned.
    pub fn total(&self) -> u32 {
        self.open + self.closed + self.filtered + self.unreachable
    }

    /// No port was scanned.
    pub fn is_zero(&self) -> bool {
        self.total() == 0
    }

    /// Counts one more port.
    pub fn add(&mut self, state: PortState) {
        match state {
            PortState::Open => self.open += 1,
            PortState::Closed => self.closed += 1,
            PortState::Filtered => self.filtered += 1,
            PortState::Unreachable => self.unreachable += 1,
        }
    }
}

/// One open port as it travels in `result.open_ports[]`; the names are those of the earlier
/// daemons.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPort {
    /// Port number, 1 to 65535.
    pub port: u16,
    /// Transport (`tcp`).
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Service (`http`, `ssh`, …); empty when unknown.
    #[serde(default)]
    pub service_name: String,
    /// Product (`OpenSSH`).
    #[serde(default)]
    pub service_product: String,
    /// Its version (`9.2p1`).
    #[serde(default)]
    pub service_version: String,
    /// First line of what the service said, escaped for display.
    #[serde(default)]
    pub service_info: String,
    /// CPE names (`cpe:/a:openbsd:openssh:9.2p1`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_cpe: Vec<String>,
    /// Why it is called open (`syn-ack`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state_reason: String,
    /// How sure the service is, 0 to 1: 1 = the service said so itself, 0.3 = by port number only.
    #[serde(default)]
    pub confidence: f64,
    /// Facts of the TLS handshake, when the port speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// The web application firewall or delivery network in front, when an answer gives it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waf: Option<String>,
    /// What else the service said of itself, by name: `http.title`, `ssh.kex`, `smtp.extensions`.
    /// Lists are written with a space between the entries; values are escaped for display.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_details: BTreeMap<String, String>,
}

fn tcp() -> String {
    "tcp".to_owned()
}

/// What a TLS handshake showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsFacts {
    /// Protocol version (`TLSv1.3`).
    pub version: String,
    /// Cipher suite, IANA name.
    pub cipher: String,
    /// Protocol chosen by ALPN (`h2`), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// The server's own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFacts>,
    /// Number of certificates that the server sent.
    #[serde(default)]
    pub chain_length: usize,
    /// The certificates that the server sent after its own, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<CertificateFacts>,
    /// What is wrong with the certificates, at the time of the handshake: `expired`, `not yet valid`,
    /// `self-signed`, `name mismatch`, `weak key`, `weak signature`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Protocol versions that the server accepts, oldest first (`TLSv1.2`); only a deep scan asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// By version the cipher suites that the server chooses when it may choose from fewer and fewer,
    /// IANA names; only a deep scan asks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ciphers: BTreeMap<String, Vec<String>>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFacts {
    /// Distinguished name of the subject.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial_number: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// Names and addresses that it is good for.
    #[serde(default)]
    pub subject_alt_names: Vec<String>,
    /// Subject and issuer are the same.
    pub self_signed: bool,
    /// SHA-256 of the DER form, hexadecimal.
    pub sha256: String,
    /// Signature algorithm, OID or name.
    #[serde(default)]
    pub signature_algorithm: String,
    /// Size of the public key, bits.
    #[serde(default)]
    pub key_bits: Option<u32>,
}

/// The `result` of a scan submission. Everything that the earlier daemons sent and that is of use,
/// and what ours add.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanResult {
    /// False for an attempt that did not become a scan (host down, refused by scope).
    #[serde(default = "yes")]
    pub success: bool,
    /// Why it is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The target as given.
    #[serde(default)]
    pub target: String,
    /// The address that was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// The name that the DNS has for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `up`, `assumed-up` (it gave no answer at all) or `unreachable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_state: Option<String>,
    /// What says so, in nmap's words (`syn-ack`, `udp-response`; `user-set`: nothing did).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_state_reason: Option<String>,
    /// Number of TCP ports scanned.
    #[serde(default)]
    pub ports_scanned: u32,
    /// How many ended in which state.
    #[serde(default)]
    pub port_counts: PortCounts,
    /// How many UDP ports ended in which state; `filtered` are those that gave no answer.
    #[serde(default, skip_serializing_if = "PortCounts::is_zero")]
    pub udp_counts: PortCounts,
    /// The open ones by number, those of TCP first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub open_ports: Vec<OpenPort>,
    /// Their number.
    #[serde(default)]
    pub open_ports_count: u32,
    /// Seconds from first to last packet.
    #[serde(default)]
    pub scan_duration: f64,
    /// Which engine did it (`connect`, `nmap 7.93`).
    #[serde(default)]
    pub engine: String,
    /// The command line, for nmap; else a description of the scan in the same manner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_command: Option<String>,
    /// True when the scan did not get to its end; what is there is right, but more may be open.
    #[serde(default)]
    pub incomplete: bool,
    /// Start of the scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// End of the scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// What there is so far of a scan that goes on: it shows, but is no scan yet. Needs `run`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// One run of a scan: all partial results of it and the whole one at its end have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    /// Number of the partial result within its run, growing. What is older changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn yes() -> bool {
    true
}

/// The earlier daemons send `null` for an empty list.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Body of `POST /daemon/{kage,kaze,ryu}/scan/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanSubmission {
    /// The record that was scanned.
    pub eggrecord_id: Uuid,
    /// Its name, as scanned.
    #[serde(default)]
    pub target: String,
    /// Kind of scan (`kaze_port_scan`).
    #[serde(default)]
    pub scan_type: String,
    /// What was found.
    #[serde(default)]
    pub result: ScanResult,
}

/// Answer to a scan submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanAnswer {
    /// Stored.
    pub success: bool,
    /// In words.
    pub message: String,
    /// Number of open ports stored.
    #[serde(default)]
    pub open_ports_found: usize,
    /// `completed`, `completed_no_ports`, `running` for a partial result, or `attempt_recorded` for
    /// an attempt that failed.
    #[serde(default)]
    pub scan_status: String,
}

/// A stored scan, as `reconctl scans` and `GET /api/scans` show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scan {
    /// Identity of the scan.
    pub id: Uuid,
    /// The record.
    pub eggrecord_id: Uuid,
    /// Its name.
    pub target: String,
    /// The address that was scanned.
    #[serde(default)]
    pub ip_address: Option<String>,
    /// The name that the DNS has for the address; absent when the agent did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `up`, `assumed-up` (it gave no answer at all) or `unreachable`; absent when the agent did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_state: Option<String>,
    /// What says so, in nmap's words (`syn-ack`, `udp-response`; `user-set`: nothing did).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_state_reason: Option<String>,
    /// Kind of scan.
    pub scan_type: String,
    /// `NAME@HOST` of the agent that did it, when known.
    #[serde(default)]
    pub agent: Option<String>,
    /// Which engine did it.
    #[serde(default)]
    pub engine: String,
    /// `completed` or `completed_no_ports`; `running` while it goes on, `interrupted` when its agent
    /// went away: then what is here is a part.
    pub scan_status: String,
    /// Start.
    pub started_at: Option<DateTime<Utc>>,
    /// End; while it goes on, when it was last heard of.
    pub finished_at: DateTime<Utc>,
    /// Seconds.
    #[serde(default)]
    pub scan_duration: f64,
    /// Number of ports scanned; 0: the agent did not say.
    pub ports_scanned: u32,
    /// How many ended in which state.
    #[serde(default)]
    pub port_counts: PortCounts,
    /// How many UDP ports ended in which state (`filtered` gave no answer); absent when none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_counts: Option<PortCounts>,
    /// The open ports.
    pub open_ports: Vec<ScanPort>,
}

/// One open port of a stored scan, with the short names of the stable JSON output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanPort {
    /// Port number.
    pub port: u16,
    /// Transport.
    pub protocol: String,
    /// Service.
    pub service: String,
    /// Product.
    pub product: String,
    /// Version.
    pub version: String,
    /// CPE names.
    pub cpe: Vec<String>,
    /// First line of what it said.
    #[serde(default)]
    pub banner: String,
    /// Facts of the TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// How sure the service is, 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// The web application firewall or delivery network in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waf: Option<String>,
    /// What else the service said of itself, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl From<OpenPort> for ScanPort {
    fn from(p: OpenPort) -> Self {
        Self {
            port: p.port,
            protocol: p.protocol,
            service: p.service_name,
            product: p.service_product,
            version: p.service_version,
            cpe: p.service_cpe,
            banner: p.service_info,
            tls: p.tls,
            confidence: p.confidence,
            waf: p.waf,
            details: p.service_details,
        }
    }
}

/// Answer to `GET /api/scans`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ScanList {
    /// Newest first.
    pub scans: Vec<Scan>,
    /// Pass it as `cursor` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl ScanSubmission {
    /// The kind of work that it finishes, when its type is one of ours.
    pub fn work_kind(&self) -> Option<WorkKind> {
        self.scan_type.parse().ok()
    }
}
