//! What an SSH server offers.

use super::*;

const KEXINIT: &[u8] = include_bytes!("testdata/corpus/ssh-kexinit.bin");

#[tokio::test]
async fn ssh_tells_its_algorithms() {
    let port = server(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
        // As OpenSSH does: nothing more before the client has said who it is.
        if stream.read(&mut [0; 256]).is_ok_and(|len| len > 0) {
            let _ = stream.write_all(KEXINIT);
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let open = probe(port).await;
    assert!(open.service_details["ssh.kex"].contains("curve25519-sha256"));
    assert!(open.service_details["ssh.hostkey"].contains("ssh-ed25519"));
    assert!(open.service_details["ssh.cipher"].contains("aes256-ctr"));
    assert!(open.service_details["ssh.mac"].contains("hmac-sha2-256"));
}

/// It answers a request for a page at once, and one that listens only after that.
#[tokio::test]
async fn ssh_tells_its_algorithms_even_if_it_was_asked_for_a_page_first() {
    let (asked, was_asked) = (std::sync::Mutex::new(false), std::sync::Condvar::new());
    let port = server(move |mut stream| {
        let mut said = [0; 256];
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n");
        let len = stream.read(&mut said).unwrap_or_default();
        let mut asked = asked.lock().unwrap();
        if said[..len].starts_with(b"SSH-") {
            while !*asked {
                asked = was_asked.wait(asked).unwrap();
            }
            let _ = stream.write_all(KEXINIT);
            let _ = stream.read_to_end(&mut Vec::new());
        } else {
            let _ = stream.write_all(b"Invalid SSH identification string.\r\n");
            drop(stream);
            *asked = true;
            was_asked.notify_all();
        }
    });
    let open = probe(port).await;
    assert_eq!(open.service_name, "ssh");
    assert!(open.service_details["ssh.kex"].contains("curve25519-sha256"));
}
