use super::rules::{RULES, compile, file};
use super::{Severity, find};
use crate::engines::ports::fuzz::fuzz;

/// What each kind looks like; `{A36}` is 36 random characters of a class: A letters and digits, a letters, h
/// hexadecimal digits, U base32, u upper case and digits, d digits, b base64, l lower case and digits.
const PLANTED: [(&str, &str); 69] = [
    ("aws-access-key", "'AKIA{U16}'"),
    ("aws-secret-key", "aws_secret_access_key = {b40}\n"),
    ("gcp-api-key", "key=AIza{A35}&x"),
    ("gcp-oauth-secret", "\"GOCSPX-{A28}\""),
    ("gcp-oauth-token", "'ya29.{A80}'"),
    ("azure-storage-key", "AccountName=x;AccountKey={b86}==;"),
    (
        "azure-sas",
        "https://x.blob.core.windows.net/c?sv=2022-11-02&ss=b&sig={A43}%3D'",
    ),
    ("azure-client-secret", "'{A3}8Q~{A34}'"),
    ("azure-service-bus", "SharedAccessKey={b43}="),
    ("github-token", "'ghp_{A36}'"),
    ("github-fine-grained", "'github_pat_{A22}_{A59}'"),
    ("gitlab-token", "'glpat-{A20}'"),
    ("slack-token", "'xoxb-{d12}-{d12}-{A24}'"),
    (
        "slack-webhook",
        "https://hooks.slack.com/services/T{u9}/B{u9}/{A24}",
    ),
    ("stripe-secret", "'sk_live_{A24}'"),
    ("stripe-test", "'sk_test_{A24}'"),
    ("stripe-webhook", "'whsec_{A32}'"),
    ("square-token", "'sq0atp-{A22}'"),
    ("paypal-braintree", "access_token$production${l16}${h32}"),
    ("twilio-key", "twilio = 'SK{h32}'"),
    ("twilio-token", "twilioAuth: '{h32}'"),
    ("sendgrid-key", "'SG.{A22}.{A43}'"),
    ("mailgun-key", "'key-{h32}'"),
    ("mailchimp-key", "'{h32}-us12'"),
    ("brevo-key", "'xkeysib-{h64}-{A16}'"),
    ("npm-token", "'npm_{A36}'"),
    (
        "npm-auth",
        "//registry.npmjs.org/:_authToken={h8}-{h4}-{h4}-{h4}-{h12}",
    ),
    ("pypi-token", "'pypi-AgEIcHlwaS5vcmc{A120}'"),
    ("rubygems-key", "'rubygems_{h48}'"),
    ("crates-io-token", "'cio{A32}'"),
    ("docker-token", "'dckr_pat_{A27}'"),
    ("digitalocean-token", "'dop_v1_{h64}'"),
    ("heroku-key", "HEROKU_API_KEY={h8}-{h4}-{h4}-{h4}-{h12}"),
    ("cloudflare-origin-key", "'v1.0-{h24}-{h146}'"),
    ("cloudflare-token", "cloudflare_api_token: '{A40}'"),
    ("fastly-token", "fastlyApiToken: '{A32}'"),
    ("openai-key", "'sk-proj-{A58}T3BlbkFJ{A58}'"),
    ("anthropic-key", "'sk-ant-api03-{A93}AA'"),
    ("huggingface-token", "'hf_{a34}'"),
    ("discord-token", "discord.login('M{A25}.{A6}.{A30}')"),
    (
        "discord-webhook",
        "https://discord.com/api/webhooks/{d18}/{A68}",
    ),
    ("telegram-token", "'{d10}:AA{A33}'"),
    ("facebook-token", "'EAACEdEose0cBA{A120}'"),
    ("twitter-bearer", "'AAAAAAAAAAAAAAAAAAAAA{A12}%2B{A60}'"),
    ("shopify-token", "'shpat_{h32}'"),
    ("linear-key", "'lin_api_{A40}'"),
    ("notion-token", "'ntn_{d11}{A35}'"),
    ("atlassian-token", "'ATATT3{A180}'"),
    ("postman-key", "'PMAK-{h24}-{h34}'"),
    ("newrelic-key", "'NRAK-{u27}'"),
    ("datadog-key", "datadogApiKey: '{h32}'"),
    ("sentry-token", "'sntryu_{h64}'"),
    (
        "sentry-dsn-secret",
        "https://{h32}:{h32}@o1.ingest.sentry.io/1",
    ),
    ("grafana-token", "'glsa_{A32}_{h8}'"),
    ("vault-token", "'hvs.{A95}'"),
    ("terraform-token", "'{A14}.atlasv1.{A67}'"),
    ("databricks-token", "'dapi{h32}'"),
    ("planetscale-token", "'pscale_tkn_{A43}'"),
    ("supabase-service", "'sbp_{h40}'"),
    ("mapbox-secret", "'sk.eyJ{A80}.{A22}'"),
    ("age-key", "AGE-SECRET-KEY-1QQ{d56}"),
    (
        "private-key",
        "-----BEGIN RSA PRIVATE KEY-----\\n{b64}\\n{b64}\\n-----END RSA PRIVATE KEY-----",
    ),
    ("jwt", "'eyJ{A30}.eyJ{A60}.{A43}'"),
    ("database-url", "postgres://app:{A16}@db.internal:5432/x"),
    ("url-password", "https://deploy:{A16}@git.internal.net/x"),
    ("basic-auth", "Authorization: 'Basic {A32}='"),
    ("bearer-token", "'Authorization': 'Bearer {A40}'"),
    ("generic-key", "apiKey: '{A32}'"),
    ("generic-password", "db_password = '{A13}4'"),
];

/// Numbers that only seem random (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % most as u64).unwrap()
    }

    fn fill(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (spec, after) = after.split_once('}').unwrap();
            out.push_str(before);
            let class: &[u8] = match &spec[..1] {
                "A" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "a" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "b" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                "h" => b"0123456789abcdef",
                "U" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
                "u" => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                "d" => b"023456789",
                "l" => b"abcdefghijklmnopqrstuvwxyz0123456789",
                other => panic!("{other}"),
            };
            for _ in 0..spec[1..].parse::<usize>().unwrap() {
                out.push(char::from(class[self.below(class.len())]));
            }
            rest = after;
        }
        out + rest
    }
}

#[test]
fn the_whole_file_is_good() {
    let entries = file().expect("secrets.toml reads").secret;
    for entry in &entries {
        assert!(compile(&entry.pattern).is_some(), "{}", entry.id);
        assert!(
            entry.keywords.iter().all(|word| word.len() >= 3),
            "{}",
            entry.id
        );
        assert!(
            PLANTED.iter().any(|(id, _)| *id == entry.id),
            "no sample of {}",
            entry.id
        );
    }
    assert_eq!(
        (entries.len(), RULES.all.len()),
        (PLANTED.len(), PLANTED.len())
    );
}

/// Of the kinds whose values are random, a placeholder's word or a lack of digits comes by chance: that
/// is the one in a hundred.
#[test]
fn planted_secrets_are_found() {
    let mut random = Random(7);
    let (mut missed, mut other, mut all) = (Vec::new(), Vec::new(), 0);
    for round in 0..20 {
        for (id, template) in PLANTED {
            let planted = random.fill(template);
            let text =
                format!("var a=1;function b(c){{return c}}\nx({{y:1}});{planted};var z={round};\n");
            let found = find(&text);
            all += 1;
            match found.as_slice() {
                [] => missed.push(planted),
                [one] if one.kind == id => assert_eq!(one.line, 2),
                _ => other.push((id, planted, found)),
            }
        }
    }
    assert!(
        missed.len() * 100 <= all,
        "{} of {all}: {missed:#?}",
        missed.len()
    );
    assert!(
        other.len() * 100 <= all,
        "{} of {all}: {other:#?}",
        other.len()
    );
}

#[test]
fn placeholders_are_none() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "apiKey: 'your-api-key-1234'",
        "apiKey: 'xxxxxxxxxxxx1234xxxx'",
        "password: 'password123'",
        "postgres://user:${PASSWORD}@host/db",
        "password: 'changeme123'",
        "secret: 'keyboard cat 99'",
        "accessToken: \"access_token_header_v2\"",
        "postgres://user:<password>@host",
        "clientSecret: t.clientSecret",
        "passwordLabel: 'Passwort 12'",
        "type: \"password\", name: \"pwd\"",
        "apiKey: process.env.API_KEY_2",
        "'Authorization': 'Bearer ' + token",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "https://user:pass@example.com/",
        "token: 'abcdefghijklmnop1234567890'",
    ] {
        assert_eq!(find(text), [], "{text}");
    }
}

#[test]
fn the_value_stays_here() {
    let token = Random(1).fill("ghp_{A36}");
    let found = find(&format!("\n\n  t='{token}'"));
    let [secret] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (secret.redacted.as_str(), secret.line, secret.offset),
        ("ghp_…", 3, 7)
    );
    assert_eq!(
        (secret.sha256.len(), secret.severity),
        (64, Severity::Critical)
    );
    let told = format!("{secret:?}{}", serde_json::to_string(secret).unwrap());
    assert!(!told.contains(&token[4..8]));
}

#[test]
fn text_without_measure() {
    let found = find(&"api_key='".repeat(1 << 16));
    assert!(found.is_empty());
    let mut random = Random(3);
    let many: String = (0..1000).map(|_| random.fill("'ghp_{A36}'\n")).collect();
    assert_eq!(find(&many).len(), super::MOST);
}

/// What `make fuzz` runs.
mod fuzz_tests {
    use super::*;

    #[test]
    fn secrets() {
        let mut random = Random(5);
        let seeds: Vec<String> = PLANTED
            .iter()
            .map(|(_, template)| random.fill(template))
            .collect();
        let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
        fuzz(&seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            for secret in find(&text) {
                assert!(secret.offset < text.len() && secret.line >= 1);
                assert!(secret.redacted.chars().count() <= super::super::SHOWN + 1);
            }
        });
    }
}
