//! The application behind the proxy: reads a request, counts it, answers 200. Nothing else.

use std::{cell::Cell, io, rc::Rc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::sender::Message;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// Answers every request on every connection.
pub async fn serve(listener: TcpListener, delivered: Rc<Cell<u64>>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::task::spawn_local(answer(connection, delivered.clone()));
    }
}

async fn answer(mut connection: TcpStream, delivered: Rc<Cell<u64>>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    while connection.read_buf(&mut buffer).await? > 0 {
        while let Some(message) = Message::parse(&buffer)? {
            buffer.drain(..message.length);
            delivered.set(delivered.get() + 1);
            connection.write_all(ANSWER).await?;
        }
    }
    Ok(())
}
