//! Raw sockets on network interfaces: frames in from a thread each, frames out at once.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fabric::ids::HostId;
use pnet::datalink::{self, Channel, Config, DataLinkReceiver, DataLinkSender};

use crate::error::LiveError;

/// How long a reader waits before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(50);
/// Room for a frame, more than any interface has.
const BUFFER: usize = 1 << 16;

/// A frame from an attached host.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The host.
    pub host: HostId,
    /// When its reader had it.
    pub at: Instant,
    /// Its bytes, without frame check sequence.
    pub bytes: Vec<u8>,
}

/// Both directions of an interface.
pub struct Line {
    /// The host it is attached to.
    pub host: HostId,
    /// What to write to.
    pub sender: Box<dyn DataLinkSender>,
    /// What to read from.
    pub receiver: Box<dyn DataLinkReceiver>,
}

/// Opens a raw socket on an interface for a host.
///
/// # Errors
/// When there is no such interface, or the socket is not permitted.
pub fn open(host: HostId, name: &str) -> Result<Line, LiveError> {
    let all = datalink::interfaces();
    let Some(interface) = all.iter().find(|interface| interface.name == name) else {
        let known: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
        let (name, known) = (name.to_owned(), known.join(", "));
        return Err(LiveError::NoInterface { name, known });
    };
    let config = Config {
        read_buffer_size: BUFFER,
        write_buffer_size: BUFFER,
        read_timeout: Some(PATIENCE),
        ..Config::default()
    };
    let failed = |why: String| LiveError::Socket { name: name.to_owned(), why };
    match datalink::channel(interface, config) {
        Ok(Channel::Ethernet(sender, receiver)) => Ok(Line { host, sender, receiver }),
        Ok(_) => Err(failed("it is no Ethernet".to_owned())),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(format!(
            "{error}; raw sockets need CAP_NET_RAW: run as root, or give it to the program (`setcap cap_net_raw+ep`)"
        ))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// A thread that reads an interface, until it is told to end.
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Reads for `host` into `queue`; what has no room there is counted in `lost`.
    pub fn start(
        host: HostId,
        receiver: Box<dyn DataLinkReceiver>,
        queue: SyncSender<Incoming>,
        lost: Arc<AtomicU64>,
    ) -> Reader {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || read(host, receiver, &queue, &lost, &told));
        Reader { stop, thread: Some(thread) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(
    host: HostId,
    mut receiver: Box<dyn DataLinkReceiver>,
    queue: &SyncSender<Incoming>,
    lost: &AtomicU64,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        match receiver.next() {
            Ok(bytes) => {
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the moment at which a real frame came"
                )]
                let at = Instant::now();
                let frame = Incoming { host, at, bytes: bytes.to_vec() };
                match queue.try_send(frame) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted
                ) => {}
            // The interface is gone or down: it may come back.
            Err(_) => std::thread::sleep(PATIENCE),
        }
    }
}
