//! Probes that are one question and one answer.

use std::sync::LazyLock;

use tokio::time::Instant;

use super::display::first_line;
use super::products::{PAYLOADS, Payload, identify_answer};
use super::wire::{Context, never};
use super::{Finding, databases, directory, messaging, names, windows};

/// A question and what its answer means.
pub struct Question {
    /// Its name.
    pub name: &'static str,
    /// Ports that it is for.
    ports: &'static [u16],
    /// Also for ports whose number says nothing.
    general: bool,
    request: fn() -> Vec<u8>,
    answer: fn(&[u8]) -> Option<Finding>,
}

/// The questions of protocols that are not text.
const QUESTIONS: [Question; 13] = [
    Question {
        name: "domain",
        ports: &[53, 5353, 1053, 5300],
        general: true,
        request: || names::DNS_QUERY.to_vec(),
        answer: names::dns_answer,
    },
    Question {
        name: "mongodb",
        ports: &[27017, 27018, 27019],
        general: true,
        request: databases::mongo_request,
        answer: databases::mongo_answer,
    },
    Question {
        name: "ldap",
        ports: &[389, 3268, 1389, 10389],
        general: true,
        request: || directory::LDAP_ROOT.to_vec(),
        answer: directory::ldap_answer,
    },
    Question {
        name: "mqtt",
        ports: &[1883, 1884],
        general: true,
        request: || messaging::MQTT_CONNECT.to_vec(),
        answer: messaging::mqtt_answer,
    },
    Question {
        name: "amqp",
        ports: &[5672, 5673],
        general: true,
        request: || messaging::AMQP_HEADER.to_vec(),
        answer: messaging::amqp_answer,
    },
    Question {
        name: "kafka",
        ports: &[9092, 9093, 9094, 19092, 29092],
        general: true,
        request: || messaging::KAFKA_VERSIONS.to_vec(),
        answer: messaging::kafka_answer,
    },
    Question {
        name: "cassandra",
        ports: &[9042, 9142],
        general: true,
        request: || databases::CQL_OPTIONS.to_vec(),
        answer: databases::cql_answer,
    },
    Question {
        name: "ms-sql-s",
        ports: &[1433, 1434, 14330],
        general: true,
        request: || windows::TDS_PRELOGIN.to_vec(),
        answer: windows::tds_answer,
    },
    Question {
        name: "oracle-tns",
        ports: &[1521, 1522, 1526],
        general: true,
        request: databases::tns_connect,
        answer: databases::tns_answer,
    },
    Question {
        name: "msrpc",
        ports: &[135, 593],
        general: false,
        request: || windows::MSRPC_BIND.to_vec(),
        answer: windows::msrpc_answer,
    },
    Question {
        name: "minecraft",
        ports: &[25565, 25566],
        general: false,
        request: || messaging::MINECRAFT_STATUS.to_vec(),
        answer: messaging::minecraft_answer,
    },
    Question {
        name: "memcached",
        ports: &[11211],
        general: true,
        request: || b"version\r\n".to_vec(),
        answer: databases::memcached_answer,
    },
    Question {
        name: "zabbix",
        ports: &[10050, 10051],
        general: false,
        request: || b"ZBXD\x01\x0a\0\0\0\0\0\0\0agent.ping".to_vec(),
        answer: databases::zabbix_answer,
    },
];

/// One question of either kind.
#[derive(Clone, Copy)]
pub enum Ask {
    /// Of a data file.
    Data(&'static Payload),
    /// Of ours.
    Code(&'static Question),
}

/// All of them.
static ALL: LazyLock<Vec<Ask>> = LazyLock::new(|| {
    static OURS: [Question; 13] = QUESTIONS;
    OURS.iter()
        .map(Ask::Code)
        .chain(PAYLOADS.iter().map(Ask::Data))
        .collect()
});

impl Ask {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Ask::Data(payload) => &payload.name,
            Ask::Code(question) => question.name,
        }
    }

    fn is_for(self, port: u16) -> bool {
        match self {
            Ask::Data(payload) => payload.ports.contains(&port),
            Ask::Code(question) => question.ports.contains(&port),
        }
    }

    fn is_general(self) -> bool {
        match self {
            Ask::Data(payload) => payload.general,
            Ask::Code(question) => question.general,
        }
    }

    /// What is sent.
    pub fn request(self) -> Vec<u8> {
        match self {
            Ask::Data(payload) => payload.bytes(),
            Ask::Code(question) => (question.request)(),
        }
    }

    /// What an answer means.
    pub fn read(self, answer: &[u8]) -> Option<Finding> {
        match self {
            _ if answer.is_empty() => None,
            Ask::Data(payload) => {
                let mut finding = identify_answer(&payload.name, answer)?;
                finding.info = first_line(answer);
                Some(finding)
            }
            Ask::Code(question) => (question.answer)(answer),
        }
    }

    /// Asks a port.
    pub async fn run(self, context: &Context<'_>, port: u16, deadline: Instant) -> Option<Finding> {
        let answer = context.ask(port, &self.request(), deadline, never).await;
        self.read(&answer)
    }
}

/// The questions for a port, by its number.
pub fn for_port(port: u16) -> impl Iterator<Item = Ask> {
    ALL.iter().copied().filter(move |ask| ask.is_for(port))
}

/// The questions for any port.
pub fn general() -> impl Iterator<Item = Ask> {
    ALL.iter().copied().filter(|ask| ask.is_general())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_of_one_question_each() {
        let names: HashSet<&str> = ALL.iter().map(|ask| ask.name()).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.len() > 30, "{}", ALL.len());
        assert_eq!(
            for_port(2181).map(Ask::name).collect::<Vec<_>>(),
            ["zookeeper"]
        );
        assert_eq!(
            for_port(1433).map(Ask::name).collect::<Vec<_>>(),
            ["ms-sql-s"]
        );
    }
}
