//! An HTTP server of the test's own, which can behave as badly as it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What is answered.
pub enum Reply {
    /// A status, headers, and a body with its length.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes as they are, in these pieces, then the end of the connection.
    Raw(Vec<Vec<u8>>),
    /// Nothing, for ever.
    Silence,
    /// A byte at a time of a body that would take hours.
    Drip,
    /// A body without end; with its length where one is given.
    Endless(Option<u64>),
}

/// A running server on a loopback port. Gone when dropped.
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    open: AtomicUsize,
    sent: AtomicU64,
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

impl Seen {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Reply {
    pub fn text(text: &str) -> Self {
        Self::Answer(200, Vec::new(), text.into())
    }

    pub fn redirect(status: u16, to: &str) -> Self {
        Self::Answer(status, vec![("location", to.to_owned())], Vec::new())
    }
}

impl Origin {
    /// Answers every request by `handler`.
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // What nobody takes does not pile up in the machine.
        socket.set_send_buffer_size(32 << 10).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1_024).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, counts) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<Counts>::default());
        let handler: Arc<Handler> = Arc::new(handler);
        let task = tokio::spawn({
            let (seen, counts) = (seen.clone(), counts.clone());
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    counts.connections.fetch_add(1, Ordering::Relaxed);
                    let (handler, seen, counts) = (handler.clone(), seen.clone(), counts.clone());
                    connections.spawn(async move {
                        counts.open.fetch_add(1, Ordering::Relaxed);
                        let _ = talk(stream, &*handler, &seen, &counts).await;
                        counts.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }
        });
        Self { address, seen, counts, task }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Bytes of endless bodies that were taken.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(stream: TcpStream, handler: &Handler, seen: &Mutex<Vec<Seen>>, counts: &Counts) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        seen.lock().push(request.clone());
        match handler(&request) {
            Reply::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Test\r\ncontent-length: {}\r\n", body.len());
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                stream.write_all(format!("{head}\r\n").as_bytes()).await?;
                let body = if request.method == "HEAD" { Vec::new() } else { body };
                stream.write_all(&body).await?;
            }
            Reply::Raw(pieces) => {
                for piece in pieces {
                    stream.write_all(&piece).await?;
                    stream.flush().await?;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                return Ok(());
            }
            Reply::Silence => {
                // Until the other side goes.
                while stream.read(&mut [0; 1]).await? > 0 {}
                return Ok(());
            }
            Reply::Drip => {
                stream.write_all(b"HTTP/1.1 200 Test\r\ncontent-length: 1000000\r\n\r\n").await?;
                loop {
                    stream.write_all(b".").await?;
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
            Reply::Endless(len) => return endless(&mut stream, len, counts).await,
        }
    }
    Ok(())
}

async fn endless(stream: &mut BufReader<TcpStream>, len: Option<u64>, counts: &Counts) -> std::io::Result<()> {
    let head = match len {
        Some(len) => format!("HTTP/1.1 200 Test\r\ncontent-length: {len}\r\n\r\n"),
        None => "HTTP/1.1 200 Test\r\nconnection: close\r\n\r\n".to_owned(),
    };
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; 64 << 10];
    loop {
        stream.write_all(&piece).await?;
        counts.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first().map_or("", String::as_str).split(' ');
    let (method, path) = (first.next().unwrap_or("").to_owned(), first.next().unwrap_or("").to_owned());
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    Ok(Some(Seen { method, path, headers, body }))
}
