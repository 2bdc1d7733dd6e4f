//! Unix sockets, which are files: that of a server which is gone is replaced, and ours goes when we do.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use socket2::{Domain, SockAddr, SockRef, Type};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::mode::Mode;
use super::settings::BACKLOG;
use crate::peer::{Credentials, Peer};
use crate::web::{Carrier, Io, Socket};

/// A socket's file, which is removed when this is dropped, unless it is another's by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from another at the same path. Of device and inode alone a new file may have those
/// of one that was removed.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.created().ok())
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&file),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match fs::symlink_metadata(&self.path) {
            Ok(file) if identity(&file) == self.identity => {}
            _ => return,
        }
        if let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the file of a Unix socket was left behind");
        }
    }
}

/// Listens at a path. A file there that is the socket of a server which is gone is replaced, and if `takes_over` that of
/// another server too: who has connected to that is still its client.
///
/// # Errors
/// Another server listens there, what is there is no socket, or the kernel refuses.
pub(super) fn listen(
    path: &Path,
    mode: Mode,
    takes_over: bool,
) -> io::Result<(UnixListener, SocketFile)> {
    let _alone = lock_folder(path);
    if takes_over && fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        // There is no moment without a socket that listens.
        let beside = path.with_extension("next");
        remove_stale(&beside)?;
        let (listener, _beside) = listen_at(&beside, mode)?;
        fs::rename(&beside, path)?;
        return Ok((listener, SocketFile::at(path)?));
    }
    listen_at(path, mode)
}

/// Does so where no other server is to be replaced that lives.
fn listen_at(path: &Path, mode: Mode) -> io::Result<(UnixListener, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    match socket.bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path).display();
            let why = format!("there is no directory {folder}: create it first");
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        bound => bound?,
    }
    let file = SocketFile::at(path)?;
    // Nobody can connect to a socket that does not listen yet, whatever the file's mode was at first.
    fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Locks the folder of a path while a server begins to listen there: another one that starts in the same
/// moment would take it for gone between the calls by which it binds and listens. A folder that cannot be
/// read is not locked.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(path.parent()?).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Removes the socket of a server that is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            return refuse("there is a file that is not a socket, which is left as it is");
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // To connect to one that is busy would wait.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) => refuse("another server listens there"),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            refuse("another server listens there")
        }
        Err(error) => {
            let why = format!("cannot tell whether another server listens there: {error}");
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

/// Accepts a connection, for which the kernel keeps so many bytes that its client has not read.
///
/// # Errors
/// The kernel has no connection, or nothing to keep it with.
pub(super) async fn accept(listener: &UnixListener, max_unsent: u64) -> io::Result<Socket> {
    let (stream, _) = listener.accept().await?;
    socket(stream, max_unsent)
}

/// Accepts a connection that waits already, whether the runtime has heard of it or not.
///
/// # Errors
/// None waits, or the kernel has nothing to keep it with.
pub(super) fn accept_waiting(listener: &UnixListener, max_unsent: u64) -> io::Result<Socket> {
    let (stream, _) = SockRef::from(listener).accept()?;
    stream.set_nonblocking(true)?;
    socket(UnixStream::from_std(stream.into())?, max_unsent)
}

fn socket(stream: UnixStream, max_unsent: u64) -> io::Result<Socket> {
    // The kernel doubles what it is told, because it counts its own records too.
    let size = usize::try_from(max_unsent / 2).unwrap_or(usize::MAX);
    SockRef::from(&stream).set_send_buffer_size(size)?;
    let credentials = stream.peer_cred().ok().map(|found| Credentials {
        uid: found.uid(),
        pid: found.pid().unwrap_or(0),
    });
    let io = Io::Plain(Carrier::Unix(stream));
    Ok(Socket::new(io, Peer::Unix(credentials)))
}
