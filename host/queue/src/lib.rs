//! Redis: push, claim, acknowledge, retry, pause. Ignorant of what a job does.
//!
//! Two streams a queue (interactive, backfill), delayed retries in a sorted set, dead letters in a list. Redis may be emptied at
//! any moment: groups are made again, and whoever feeds the queue asks [`Queue::was_emptied`].

mod keys;
mod messages;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, RedisError};
use tokio::sync::{Notify, broadcast};
use types::{Job, Priority, QueueName};

use keys::Keys;
use scripts::Scripts;

const GROUP: &str = "workers";
/// A script with thousands of jobs takes a while; a Redis that says nothing for this long is down.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A consumer that was silent for so long is gone for good.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// Redis did not do it. Trying again later helps.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("Redis is not available: {0}")]
    Unavailable(#[from] RedisError),
    #[error("redis.url is not understood: {0}")]
    Url(String),
    #[error("a job in Redis is not one of ours: {0}")]
    Foreign(String),
}

/// How many jobs a queue has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    pub active: u64,
    pub delayed: u64,
    pub failed: u64,
    pub paused: bool,
}

/// A job that this consumer has to end: by [`Queue::acknowledge`], [`Queue::retry`], [`Queue::bury`] or [`Queue::give_back`].
#[derive(Debug, Clone)]
pub struct Claimed {
    pub job: Job,
    stream: String,
    entry: String,
}

/// The queues. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    client: redis::Client,
    redis: ConnectionManager,
    /// Claims that were silent for this long belong to a worker that is gone.
    stale: Duration,
    scripts: Arc<Scripts>,
    /// Somebody pushed.
    wake: Arc<Notify>,
    /// What somebody told everybody.
    words: broadcast::Sender<String>,
}

impl Queue {
    /// `redis://…`, `rediss://…` or `redis+unix:///path`. Reconnects by itself. A claim without a heartbeat for `stale` is given to
    /// another worker.
    pub async fn connect(url: &str, stale: Duration) -> Result<Self, QueueError> {
        let client = redis::Client::open(url).map_err(|error| QueueError::Url(error.to_string()))?;
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(ANSWER_LIMIT));
        let redis = ConnectionManager::new_with_config(client.clone(), config).await?;
        let (wake, words) = (Arc::new(Notify::new()), broadcast::channel(1_024).0);
        Ok(Self { client, redis, stale, scripts: Scripts::new().into(), wake, words })
    }

    /// How often a worker has to tell that it goes on.
    pub fn heartbeat_every(&self) -> Duration {
        self.stale / 4
    }

    /// Does Redis answer, within two seconds?
    pub async fn ping(&self) -> Result<(), QueueError> {
        let mut redis = self.redis.clone();
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(Duration::from_secs(2), ping.query_async::<String>(&mut redis)).await;
        answer.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut)).map_err(RedisError::from)??;
        Ok(())
    }

    /// Pushes jobs whose twins do not wait already; returns how many.
    pub async fn push(&self, jobs: &[Job]) -> Result<u64, QueueError> {
        let mut pushed = 0;
        let mut queues: Vec<&QueueName> = jobs.iter().map(|job| &job.queue).collect();
        queues.sort();
        queues.dedup();
        for queue in queues {
            let keys = Keys::of(queue);
            let mut call = self.scripts.push.prepare_invoke();
            call.key(keys.stream(Priority::Interactive)).key(keys.stream(Priority::Backfill));
            call.key(keys.waiting());
            for job in jobs.iter().filter(|job| job.queue == *queue) {
                call.arg(job.dedup_key()).arg(text(job)?);
                call.arg(number(job.priority));
            }
            pushed += call.invoke_async::<u64>(&mut self.redis.clone()).await?;
        }
        if pushed > 0 {
            self.wake.notify_one();
        }
        Ok(pushed)
    }

    /// Claims one job of the first queue that has any: interactive work of all queues before backfill, and before each what a
    /// dead worker left. Does not block; a paused queue is passed over. One question to Redis, whatever the number of queues.
    pub async fn claim(&self, queues: &[QueueName], consumer: &str) -> Result<Option<Claimed>, QueueError> {
        loop {
            let mut call = self.scripts.claim.prepare_invoke();
            for keys in queues.iter().map(Keys::of) {
                call.key(keys.stream(Priority::Interactive)).key(keys.stream(Priority::Backfill)).key(keys.delayed());
                call.key(keys.paused()).key(keys.waiting()).key(keys.dead());
            }
            call.arg(GROUP).arg(consumer).arg(self.stale.as_millis() as u64).arg(now_ms());
            type Found = Option<(usize, String, String, String)>;
            let found: Found = call.invoke_async(&mut self.redis.clone()).await?;
            let Some((at, stream, entry, body)) = found else { return Ok(None) };
            let keys = Keys::of(&queues[at - 1]);
            match serde_json::from_str::<Job>(&body) {
                Ok(mut job) => {
                    job.attempt += 1;
                    let _: u64 = self.redis.clone().hdel(keys.waiting(), job.dedup_key()).await?;
                    return Ok(Some(Claimed { job, stream, entry }));
                }
                Err(error) => {
                    tracing::error!(%error, body, "A job in Redis is not one of ours: it becomes a dead letter");
                    self.end(&stream, &keys, &entry, &format!("foreign:{entry}"), &body).await?;
                }
            }
        }
    }

    /// Tells Redis that the work goes on, so that nobody takes it over.
    pub async fn heartbeat(&self, claimed: &Claimed, consumer: &str) -> Result<(), QueueError> {
        let _: redis::Value = redis::cmd("XCLAIM")
            .arg(&[&*claimed.stream, GROUP, consumer, "0", &*claimed.entry, "JUSTID"])
            .query_async(&mut self.redis.clone())
            .await?;
        Ok(())
    }

    /// Done: gone from Redis, and from the dead letters if it was among them.
    pub async fn acknowledge(&self, claimed: &Claimed) -> Result<(), QueueError> {
        let mut call = self.scripts.acknowledge.prepare_invoke();
        call.key(&claimed.stream).key(Keys::of(&claimed.job.queue).dead());
        call.arg(GROUP).arg(&claimed.entry).arg(claimed.job.subject());
        call.invoke_async::<i64>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Not begun, or not ended, because this worker stops: somebody else may have it at once.
    pub async fn give_back(&self, claimed: &Claimed) -> Result<(), QueueError> {
        let job = Job { attempt: claimed.job.attempt.saturating_sub(1), ..claimed.job.clone() };
        let mut call = self.scripts.give_back.prepare_invoke();
        call.key(&claimed.stream).key(Keys::of(&job.queue).waiting());
        call.arg(GROUP).arg(&claimed.entry).arg(text(&job)?).arg(job.dedup_key()).arg(number(job.priority));
        call.invoke_async::<i64>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Not done: again after `delay`.
    pub async fn retry(&self, claimed: &Claimed, delay: Duration) -> Result<(), QueueError> {
        let mut call = self.scripts.retry.prepare_invoke();
        call.key(&claimed.stream).key(Keys::of(&claimed.job.queue).delayed());
        call.arg(GROUP).arg(&claimed.entry).arg(now_ms() + delay.as_millis() as u64).arg(text(&claimed.job)?);
        call.invoke_async::<i64>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Not tried, for a reason that is not the job's: again after `delay`, and the attempt does not count.
    pub async fn postpone(&self, claimed: &Claimed, delay: Duration) -> Result<(), QueueError> {
        let job = Job { attempt: claimed.job.attempt.saturating_sub(1), ..claimed.job.clone() };
        self.retry(&Claimed { job, ..claimed.clone() }, delay).await
    }

    /// Given up: a dead letter.
    pub async fn bury(&self, claimed: &Claimed) -> Result<(), QueueError> {
        let keys = Keys::of(&claimed.job.queue);
        self.end(&claimed.stream, &keys, &claimed.entry, &claimed.job.subject(), &text(&claimed.job)?).await
    }

    async fn end(&self, stream: &str, keys: &Keys, entry: &str, subject: &str, body: &str) -> Result<(), QueueError> {
        let mut call = self.scripts.bury.prepare_invoke();
        call.key(stream).key(keys.dead()).arg(GROUP).arg(entry).arg(subject).arg(body);
        call.invoke_async::<i64>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Forgets consumers that have been silent for an hour and hold nothing. Returns how many.
    pub async fn forget_the_gone(&self, queues: &[QueueName]) -> Result<u64, QueueError> {
        let mut call = self.scripts.forget.prepare_invoke();
        for keys in queues.iter().map(Keys::of) {
            call.key(keys.stream(Priority::Interactive)).key(keys.stream(Priority::Backfill));
        }
        call.arg(GROUP).arg(FORGET_AFTER.as_millis() as u64);
        Ok(call.invoke_async(&mut self.redis.clone()).await?)
    }

    /// Waiting = length - pending.
    pub async fn counts(&self, queue: &QueueName) -> Result<Counts, QueueError> {
        let keys = Keys::of(queue);
        let mut redis = self.redis.clone();
        let mut counts = Counts { paused: self.is_paused(queue).await?, ..Counts::default() };
        for priority in [Priority::Interactive, Priority::Backfill] {
            let stream = keys.stream(priority);
            let length: u64 = redis.xlen(&stream).await?;
            let pending: Result<redis::streams::StreamPendingReply, RedisError> = redis.xpending(&stream, GROUP).await;
            let pending = pending.map_or(0, |reply| reply.count() as u64);
            counts.active += pending;
            counts.waiting += length.saturating_sub(pending);
        }
        counts.delayed = redis.zcard(keys.delayed()).await?;
        counts.failed = redis.hlen(keys.dead()).await?;
        Ok(counts)
    }

    pub async fn is_paused(&self, queue: &QueueName) -> Result<bool, QueueError> {
        Ok(self.redis.clone().exists(Keys::of(queue).paused()).await?)
    }

    /// Workers finish what they have and claim nothing more of this queue, on every node.
    pub async fn pause(&self, queue: &QueueName) -> Result<(), QueueError> {
        Ok(self.redis.clone().set(Keys::of(queue).paused(), 1).await?)
    }

    pub async fn resume(&self, queue: &QueueName) -> Result<(), QueueError> {
        let _: () = self.redis.clone().del(Keys::of(queue).paused()).await?;
        let _: i64 =
            redis::cmd("PUBLISH").arg(&[scripts::WAKE, "resumed"]).query_async(&mut self.redis.clone()).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Drops what waits; what is under way goes on.
    pub async fn clear(&self, queue: &QueueName) -> Result<(), QueueError> {
        let keys = Keys::of(queue);
        let mut redis = self.redis.clone();
        for priority in [Priority::Interactive, Priority::Backfill] {
            let _: u64 =
                redis::cmd("XTRIM").arg(keys.stream(priority)).arg(&["MAXLEN", "0"]).query_async(&mut redis).await?;
        }
        Ok(redis.del(&[keys.waiting(), keys.delayed()]).await?)
    }

    /// Drops the dead letters.
    pub async fn clear_dead(&self, queue: &QueueName) -> Result<(), QueueError> {
        Ok(self.redis.clone().del(Keys::of(queue).dead()).await?)
    }

    /// Was Redis emptied (or is it new) since the last call of anybody?
    pub async fn was_emptied(&self) -> Result<bool, QueueError> {
        let set: bool = self.redis.clone().set_nx(keys::MARKER, 1).await?;
        Ok(set)
    }
}

fn text(job: &Job) -> Result<String, QueueError> {
    serde_json::to_string(job).map_err(|error| QueueError::Foreign(error.to_string()))
}

/// Of a stream, as scripts count them.
fn number(priority: Priority) -> u8 {
    match priority {
        Priority::Interactive => 1,
        Priority::Backfill => 2,
    }
}

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
