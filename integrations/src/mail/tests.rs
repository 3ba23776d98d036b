//! Mail against a real socket: a server that speaks as much SMTP as it takes to be handed a message.

use std::sync::{Arc, Mutex};

use commands::ports::{Mail, Mailer, Undelivered};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

use super::{MailError, Nowhere, Outbox, Smtp};

const FROM: &str = "Registrar <registrar@example.edu>";

/// A server on this machine. It answers `RCPT` with what it was told to, and keeps what it is handed.
struct Server {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn answering(recipient: &'static str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, recipient, kept.clone()));
            }
        });
        Server { url, taken }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn talk(stream: TcpStream, recipient: &str, taken: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 here\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
        let answer = match &*verb {
            "EHLO" | "HELO" => "250 here",
            "RCPT" => recipient,
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut message = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    message.push_str(&line);
                    message.push('\n');
                }
                taken.lock().unwrap().push(message);
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn mail() -> Mail {
    Mail {
        to: "ada@example.org".into(),
        subject: "Your request".into(),
        text: "The code is 0123456789abcdef.".into(),
        html: None,
        message_id: Uuid::from_u128(0xA1),
    }
}

#[tokio::test]
async fn a_mail_is_handed_to_the_server_each_time_under_the_same_message_id() {
    let server = Server::answering("250 fine").await;
    let smtp = Smtp::new(&server.url, FROM).unwrap();
    smtp.send(&mail()).await.unwrap();
    smtp.send(&mail()).await.unwrap();
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    for message in &taken {
        let header = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(header("Message-ID: "), "<00000000-0000-0000-0000-0000000000a1@example.edu>");
        assert_eq!((header("To: "), header("Subject: ")), ("ada@example.org", "Your request"));
        assert!(header("From: ").contains("registrar@example.edu"));
        assert!(message.contains("0123456789abcdef"));
    }
}

#[tokio::test]
async fn a_mail_may_have_a_second_form_for_those_who_show_it() {
    let server = Server::answering("250 fine").await;
    let mail = Mail { html: Some("<p>The code</p>".into()), ..mail() };
    Smtp::new(&server.url, FROM).unwrap().send(&mail).await.unwrap();
    let taken = server.taken().remove(0);
    assert!(taken.contains("multipart/alternative") && taken.contains("<p>The code</p>"), "{taken}");
    assert!(taken.contains("0123456789abcdef"));
}

#[tokio::test]
async fn what_the_server_says_of_an_address_is_not_repeated() {
    for (answer, why) in [
        ("550 5.1.1 <ada@example.org> is unknown here", "does not want it"),
        ("451 4.3.2 <ada@example.org> later", "not take it now"),
    ] {
        let server = Server::answering(answer).await;
        let error = Smtp::new(&server.url, FROM).unwrap().send(&mail()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("ada"), "{error}");
        assert!(server.taken().is_empty());
    }
}

#[tokio::test]
async fn a_mail_is_refused_for_good_where_its_address_is_wrong_and_not_where_we_are() {
    let sent = async |answer, to: &str| {
        let server = Server::answering(answer).await;
        let mail = Mail { to: to.into(), ..mail() };
        Smtp::new(&server.url, FROM).unwrap().send(&mail).await
    };
    for (answer, to) in [("550 5.1.1 unknown", "ada@example.org"), ("250 fine", "nobody")] {
        assert!(matches!(sent(answer, to).await, Err(Undelivered::Refused { .. })), "{answer}");
    }
    for answer in ["451 4.3.2 later", "530 5.7.0 say who you are"] {
        assert!(matches!(sent(answer, "ada@example.org").await, Err(Undelivered::NotNow(_))), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_so_is_none_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(Smtp::new(&url, FROM).unwrap().send(&mail()).await.is_err());
    assert!(Nowhere.send(&mail()).await.unwrap_err().to_string().contains("ANNALS_SMTP_URL"));
    assert!(Smtp::new("http://example.org", FROM).is_err() && Smtp::new(&url, "nobody").is_err());
}

#[tokio::test]
async fn the_outbox_keeps_one_file_for_each_message_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("annals-outbox-{}", Uuid::new_v4().simple()));
    let outbox = Outbox::new(&folder, FROM).unwrap();
    outbox.send(&mail()).await.unwrap();
    outbox.send(&mail()).await.unwrap();
    outbox.send(&Mail { message_id: Uuid::from_u128(0xA2), ..mail() }).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 2);
    let file = folder.join(format!("{}.eml", mail().message_id));
    assert!(std::fs::read_to_string(&file).unwrap().contains("0123456789abcdef"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_and_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // The next one finds a server that speaks.
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (next, _) = listener.accept().await.unwrap();
        let talked = talk(next, "250 fine", taken.clone()).await;
        drop((stream, talked));
        taken.lock().unwrap().len()
    });
    let smtp = Smtp::new(&url, FROM).unwrap().with_patience(std::time::Duration::from_millis(300));
    let given_up = smtp.send(&mail()).await;
    assert!(matches!(&given_up, Err(Undelivered::NotNow(error)) if error.reason.contains("does not answer")));
    let others = smtp.send(&mail()).await;
    assert!(
        matches!(&others, Err(Undelivered::NotNow(error)) if error.reason.contains("just now")),
        "they wait for nothing"
    );
    let smtp = smtp.with_patience(std::time::Duration::from_secs(20));
    smtp.send(&mail()).await.unwrap();
    drop(smtp);
    assert_eq!(silent.await.unwrap(), 1);
}

#[test]
fn a_password_is_sent_to_no_other_machine_in_the_clear() {
    let made = |url: &str| Smtp::new(url, FROM).map(drop);
    for url in
        ["smtp://annals:secret@mail.example.edu", "smtp://annals:secret@192.0.2.2:2590?tls=opportunistic"]
    {
        assert!(matches!(made(url), Err(MailError::Clear)), "{url}");
    }
    for url in [
        "smtps://annals:secret@mail.example.edu",
        "smtp://annals:secret@mail.example.edu:587?tls=required",
        "smtp://annals:secret@127.0.0.1:25",
        "smtp://annals:secret@localhost:25",
        "smtp://relay.example.edu",
    ] {
        assert!(made(url).is_ok(), "{url}");
    }
    assert!(matches!(made("not an address"), Err(MailError::Server)));
}
