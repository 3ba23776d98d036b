//! The stream as server-sent events.

use actix_web::{
    HttpResponse,
    http::{Method, header},
    web,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::{
    Client,
    client::{Event, News},
    rows::Rows,
    view,
};
use crate::{
    http::{
        Api, Call,
        body::single,
        pairs::{self, Pairs},
    },
    problem::Problem,
};

/// Opens a stream.
pub(in crate::http) async fn handle(api: &web::Data<Api>, call: &Call<'_>) -> Result<HttpResponse, Problem> {
    let view = view(call.actor()?)?;
    let mut pairs = Pairs::of(call.request)?;
    let rows = Rows::of(api, call.actor()?, &mut pairs)?;
    pairs.done()?;
    let resumed = single(call.request.headers(), "Last-Event-ID")?
        .map(|text| {
            pairs::number(text).ok_or_else(|| Problem::parameter("Last-Event-ID", "expected a position"))
        })
        .transpose()?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .content_type("text/event-stream");
    if call.request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let client = Client::new(api, call, view, rows, resumed).await?;
    Ok(response.streaming(written(client).map(Ok::<_, actix_web::Error>)))
}

/// All that a client is told, until it is told no more.
fn written(client: Client) -> impl Stream<Item = Bytes> {
    let begun = stream::iter([Bytes::from_static(b"retry: 2000\n\n")]);
    begun.chain(stream::unfold(client, |mut client| async move {
        let text = match client.next().await.ok()? {
            // Without an id: whoever comes back before the events were told is told of the rows again.
            News::Changed(rows) => rows.iter().map(|row| format!("event: row\ndata: {row}\n\n")).collect(),
            News::Recorded(events) => events.iter().map(block).collect(),
            News::LeftOut(rows) => format!("event: left_out\ndata: {rows}\n\n"),
            News::UpTo(position) => format!("id: {position}\n\n"),
            News::Quiet(position) => format!(": still here\nid: {position}\n\n"),
        };
        Some((Bytes::from(text), client))
    }))
}

fn block(Event { position, data }: &Event) -> String {
    format!("id: {position}\nevent: recorded\ndata: {data}\n\n")
}
