use super::Finding;
use super::display::escape;

/// AMQP 0-9-1 (§4.2.2): the protocol header; the server answers with connection.start, or with the
/// header of the version that it wants.
pub const AMQP_HEADER: &[u8] = b"AMQP\0\0\x09\x01";

/// What an AMQP server says.
pub fn amqp_answer(answer: &[u8]) -> Option<Finding> {
    if answer.starts_with(b"AMQP") && answer.len() == 8 {
        return Some(Finding {
            info: format!("AMQP {}.{}.{}", answer[5], answer[6], answer[7]),
            ..Finding::named("amqp", 1.0)
        });
    }
    // Method frame on channel 0: class 10 (connection), method 10 (start).
    if answer.get(..3)? != [1, 0, 0] || answer.get(7..11)? != [0, 10, 0, 10] {
        return None;
    }
    let text = |name: &[u8]| table_string(answer, name).unwrap_or_default();
    let product = text(b"product");
    let cpe = if product == "RabbitMQ" {
        "cpe:/a:vmware:rabbitmq"
    } else {
        ""
    };
    let mut finding = Finding::named("amqp", 1.0).of_product(&product, &text(b"version"), cpe);
    finding.info = text(b"platform");
    finding.detail("amqp.cluster", text(b"cluster_name"));
    Some(finding)
}

/// A long string (`S`) of an AMQP field table.
fn table_string(frame: &[u8], name: &[u8]) -> Option<String> {
    let length = u8::try_from(name.len()).ok()?;
    let key = [&[length], name, b"S"].concat();
    let at = frame.windows(key.len()).position(|w| w == key)? + key.len();
    let length = u32::from_be_bytes(frame.get(at..at + 4)?.try_into().ok()?) as usize;
    let text = frame.get(at + 4..(at + 4).checked_add(length)?)?;
    (text.len() < 200).then(|| escape(text))
}

/// MQTT 3.1.1 CONNECT (§3.1) with a clean session and no client id, and a subscription (§3.8) to
/// where mosquitto tells its version; a client need not wait for CONNACK.
pub const MQTT_CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0\
    \x82\x18\0\x01\0\x13$SYS/broker/version\0";

/// What an MQTT broker says: CONNACK, and what it published.
pub fn mqtt_answer(answer: &[u8]) -> Option<Finding> {
    let [0x20, 2, 0 | 1, code, rest @ ..] = answer else {
        return None;
    };
    let mut finding = Finding::named("mqtt", 1.0);
    finding.info = match code {
        0 => "accepts connections without a password",
        1..=5 => "wants a password or another client",
        _ => return None,
    }
    .to_owned();
    let topic = b"$SYS/broker/version";
    let at = rest.windows(topic.len()).position(|w| w == topic);
    if let Some(at) = at {
        let length = at
            .checked_sub(3)
            .and_then(|length| rest.get(length))
            .copied();
        let payload = usize::from(length.unwrap_or_default()).saturating_sub(topic.len() + 2);
        let text = rest
            .get(at + topic.len()..at + topic.len() + payload)
            .unwrap_or_default();
        let text = escape(text);
        if let Some(version) = text.strip_prefix("mosquitto version ") {
            finding = finding.of_product("Mosquitto", version, "cpe:/a:eclipse:mosquitto");
        }
        finding.detail("mqtt.version", text);
    }
    Some(finding)
}

/// Kafka ApiVersions request, version 0, correlation id 0x5243.
pub const KAFKA_VERSIONS: &[u8] = b"\0\0\0\x0f\0\x12\0\0\0\0\x52\x43\0\x05recon";

/// What a Kafka broker says: the requests that it knows. That each is listed with its newest version
/// narrows the release down.
pub fn kafka_answer(answer: &[u8]) -> Option<Finding> {
    let number = |at: usize| Some(i32::from_be_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    if number(4)? != 0x5243 || answer.get(8..10)? != [0, 0] {
        return None;
    }
    let count = usize::try_from(number(10)?)
        .ok()
        .filter(|count| (1..200).contains(count))?;
    let keys = answer.get(14..)?.chunks_exact(6).take(count);
    let newest = |wanted: u16| {
        let mut keys = keys.clone();
        let key = keys.find(|key| u16::from_be_bytes([key[0], key[1]]) == wanted)?;
        Some(u16::from_be_bytes([key[4], key[5]]))
    };
    // Fetch (1) by release, from Kafka's protocol history.
    let release = match newest(1)? {
        17.. => "3.9 or later",
        16 => "3.7 - 3.8",
        15 => "3.5 - 3.6",
        14 => "3.4",
        13 => "3.1 - 3.3",
        12 => "2.7 - 3.0",
        11 => "2.3 - 2.6",
        _ => "2.2 or earlier",
    };
    let mut finding =
        Finding::named("kafka", 1.0).of_product("Apache Kafka", "", "cpe:/a:apache:kafka");
    finding.info = format!("release {release}, by the requests that it knows");
    finding.detail("kafka.apis", count.to_string());
    Some(finding)
}

/// A status request of Minecraft's protocol: handshake for host "recon", then the request.
pub const MINECRAFT_STATUS: &[u8] = b"\x0b\0\0\x05recon\x63\xdd\x01\x01\0";

/// What a Minecraft server says.
pub fn minecraft_answer(answer: &[u8]) -> Option<Finding> {
    let text = String::from_utf8_lossy(answer.get(..answer.len().min(4096))?);
    let start = text.find('{').filter(|start| *start <= 8)?;
    let text = &text[start..];
    if !text.contains("\"version\"") || !text.contains("\"protocol\"") {
        return None;
    }
    let version = text.split("\"name\":\"").nth(1)?.split('"').next()?;
    Some(Finding::named("minecraft", 1.0).of_product("Minecraft server", version, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_lengths_they_say() {
        assert_eq!(usize::from(MQTT_CONNECT[1]), 12);
        assert_eq!(usize::from(MQTT_CONNECT[15]), MQTT_CONNECT.len() - 16);
        assert_eq!(usize::from(KAFKA_VERSIONS[3]), KAFKA_VERSIONS.len() - 4);
        assert_eq!(usize::from(MINECRAFT_STATUS[0]), MINECRAFT_STATUS.len() - 3);
    }

    #[test]
    fn brokers() {
        let amqp = b"\x01\0\0\0\0\0\xff\0\x0a\0\x0a\0\x09\0\0\0\xff\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x073.12.14";
        let found = amqp_answer(amqp).unwrap();
        assert_eq!(
            (found.product.as_str(), found.version.as_str()),
            ("RabbitMQ", "3.12.14")
        );
        let mqtt = b"\x20\x02\0\0\x90\x03\0\x01\0\x31\x2d\0\x13$SYS/broker/versionmosquitto version 2.0.11";
        assert_eq!(mqtt.len(), 9 + 2 + 0x2d);
        let found = mqtt_answer(mqtt).unwrap();
        assert_eq!(
            (found.product.as_str(), found.version.as_str()),
            ("Mosquitto", "2.0.11")
        );
        assert!(mqtt_answer(b"\x20\x02\0\x05").unwrap().product.is_empty());
        let kafka = b"\0\0\0\x16\0\0\x52\x43\0\0\0\0\0\x02\0\0\0\0\0\x09\0\x01\0\0\0\x0d";
        assert!(kafka_answer(kafka).unwrap().info.contains("3.1 - 3.3"));
        let game = b"\x40\0\x3e{\"version\":{\"name\":\"1.20.4\",\"protocol\":765}}";
        assert_eq!(minecraft_answer(game).unwrap().version, "1.20.4");
    }
}
