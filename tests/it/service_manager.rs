//! What a service manager does: it passes sockets to the program, and is told how that is.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::program::{Serving, mirant, output_of};
use crate::support::{Client, Folder, Http, PATIENCE, Request, relay_to};

/// Starts a program to which its standard input and error are passed as sockets of these names.
const PASS: &str = r#"
exec 3<&0 4<&2 0</dev/null 2>/dev/null
export LISTEN_FDS=2 LISTEN_FDNAMES="$1" LISTEN_PID=$$
shift
exec "$@"
"#;

/// The program, which is passed a TCP socket named `web`, and a Unix socket named `proxy`.
fn passed(tcp: &TcpListener, unix: &UnixListener, arguments: &[&str]) -> Command {
    let program = mirant(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", PASS, "sh", "web:proxy"]);
    command.arg(program.get_program());
    command
        .args(["serve", "--set", "http.drain_time=0s"])
        .args(arguments);
    command
        .stdin(Stdio::from(OwnedFd::from(tcp.try_clone().unwrap())))
        .stderr(Stdio::from(OwnedFd::from(unix.try_clone().unwrap())));
    command
}

async fn handshake(http: &mut Http) {
    let body = json!([{"channel": "/meta/handshake", "version": "1.0"}]).to_string();
    http.send(Request::post(body).bytes()).await;
}

#[tokio::test]
async fn sockets_that_are_passed_outlive_the_server_and_refuse_nobody() {
    let folder = Folder::new("passed");
    let path = folder.path().join("http.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let address: SocketAddr = tcp.local_addr().unwrap();
    let arguments = ["--set", "http.listen=fd:web,fd:proxy"];
    for _ in 0..2 {
        // There is no server yet, or not any more.
        let mut early = Http::open(address).await;
        handshake(&mut early).await;
        let mut serving = Serving::of(&mut passed(&tcp, &unix, &arguments));
        assert_eq!(early.response().await.status, 200);
        assert_eq!(
            serving.line(),
            format!("listening on http://{address}/cometd\n")
        );
        let shown = format!("listening on http://unix:{}:/cometd\n", path.display());
        assert_eq!(serving.line(), shown);
        Client::new(address).handshake().await;
        Client::new(relay_to(&path)).handshake().await;
        serving.signal("TERM");
        assert!(serving.child.wait().unwrap().success());
        assert!(path.exists(), "it is not the server's");
    }
}

#[test]
fn a_socket_may_be_named_by_its_number_and_one_that_is_missing_is_said() {
    let folder = Folder::new("numbered");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(folder.path().join("http.sock")).unwrap();
    let address = tcp.local_addr().unwrap();
    let mut serving = Serving::of(&mut passed(&tcp, &unix, &["--listen", "fd:3"]));
    assert_eq!(
        serving.line(),
        format!("listening on http://{address}/cometd\n")
    );
    drop(serving);
    let output = mirant(&["serve", "--listen", "fd:web"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = output_of(output);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "mirant: cannot listen on fd:web: no such socket is passed to the process; start it by its .socket unit\n";
    assert_eq!(said, expected);
}

#[test]
fn it_is_told_when_the_server_is_ready_reloads_and_stops() {
    let folder = Folder::new("notified");
    let path = folder.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut bytes = [0; 256];
        let length = told.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
    let command = command.env("NOTIFY_SOCKET", &path).stderr(Stdio::null());
    let mut serving = Serving::of(command);
    assert_eq!(next(), "READY=1\n");
    serving.signal("HUP");
    let reloading = next();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(next(), "READY=1\n");
    serving.signal("TERM");
    assert_eq!(next(), "STOPPING=1\n");
    assert!(serving.child.wait().unwrap().success());
}
