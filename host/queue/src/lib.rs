//! Redis: push, claim, acknowledge, retry, pause. Ignorant of what a job does.
//!
//! Two streams a queue (interactive, backfill), delayed retries in a sorted set, dead letters in a list. Redis may be emptied at
//! any moment: groups are made again, and whoever feeds the queue asks [`Queue::was_emptied`].

mod keys;

use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{AsyncCommands as _, RedisError, Script};
use types::{Job, Priority, QueueName};

use keys::Keys;

const GROUP: &str = "workers";

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

/// A job that this consumer has to end: by [`Queue::acknowledge`], [`Queue::retry`] or [`Queue::bury`].
#[derive(Debug, Clone)]
pub struct Claimed {
    pub job: Job,
    stream: String,
    entry: String,
}

/// The queues. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    redis: ConnectionManager,
    /// Claims that were silent for this long belong to a worker that is gone.
    stale: Duration,
    scripts: std::sync::Arc<Scripts>,
}

struct Scripts {
    push: Script,
    acknowledge: Script,
    retry: Script,
    bury: Script,
    wake: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            // A job whose twin still waits is not pushed: the mark goes when the twin is claimed.
            push: Script::new(
                "local pushed = 0
                 for at = 1, #ARGV, 3 do
                    if redis.call('HSETNX', KEYS[3], ARGV[at], 1) == 1 then
                        redis.call('XADD', KEYS[tonumber(ARGV[at + 2])], '*', 'job', ARGV[at + 1])
                        pushed = pushed + 1
                    end
                 end
                 return pushed",
            ),
            acknowledge: Script::new(
                "redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) return redis.call('XDEL', KEYS[1], ARGV[2])",
            ),
            retry: Script::new(
                "redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
                 redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) return redis.call('XDEL', KEYS[1], ARGV[2])",
            ),
            bury: Script::new(
                "redis.call('LPUSH', KEYS[2], ARGV[3]) redis.call('LTRIM', KEYS[2], 0, 9999)
                 redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) return redis.call('XDEL', KEYS[1], ARGV[2])",
            ),
            wake: Script::new(
                "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
                 for _, job in ipairs(due) do
                    redis.call('ZREM', KEYS[1], job)
                    redis.call('XADD', KEYS[2], '*', 'job', job)
                 end
                 return #due",
            ),
        }
    }
}

impl Queue {
    /// `redis://…`, `rediss://…` or `redis+unix:///path`. Reconnects by itself. A claim without a heartbeat for `stale` is given to
    /// another worker.
    pub async fn connect(url: &str, stale: Duration) -> Result<Self, QueueError> {
        let client = redis::Client::open(url).map_err(|error| QueueError::Url(error.to_string()))?;
        Ok(Self { redis: ConnectionManager::new(client).await?, stale, scripts: Scripts::new().into() })
    }

    /// How often a worker has to tell that it goes on.
    pub fn heartbeat_every(&self) -> Duration {
        self.stale / 4
    }

    /// Does Redis answer?
    pub async fn ping(&self) -> Result<(), QueueError> {
        let _: String = redis::cmd("PING").query_async(&mut self.redis.clone()).await?;
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
                call.arg(if job.priority == Priority::Interactive { 1 } else { 2 });
            }
            pushed += call.invoke_async::<u64>(&mut self.redis.clone()).await?;
        }
        Ok(pushed)
    }

    /// Claims one job of the first queue that has any: interactive work of all queues before backfill, and before both what a
    /// dead worker left. Does not block; a paused queue is passed over.
    pub async fn claim(&self, queues: &[QueueName], consumer: &str) -> Result<Option<Claimed>, QueueError> {
        let mut open = Vec::new();
        for queue in queues {
            if !self.is_paused(queue).await? {
                self.wake_delayed(queue).await?;
                open.push(queue);
            }
        }
        for priority in [Priority::Interactive, Priority::Backfill] {
            for queue in &open {
                if let Some(claimed) = self.claim_from(&Keys::of(queue), priority, consumer).await? {
                    return Ok(Some(claimed));
                }
            }
        }
        Ok(None)
    }

    async fn claim_from(&self, keys: &Keys, priority: Priority, consumer: &str) -> Result<Option<Claimed>, QueueError> {
        let stream = keys.stream(priority);
        for attempt in 0..2 {
            match self.take_over_or_read(&stream, consumer).await {
                Ok(None) => return Ok(None),
                Ok(Some((entry, body))) => {
                    let mut job: Job =
                        serde_json::from_str(&body).map_err(|error| QueueError::Foreign(error.to_string()))?;
                    job.attempt += 1;
                    let _: () = self.redis.clone().hdel(keys.waiting(), job.dedup_key()).await?;
                    return Ok(Some(Claimed { job, stream, entry }));
                }
                // Redis is new or was emptied.
                Err(error) if attempt == 0 && error.code() == Some("NOGROUP") => self.make_group(&stream).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    async fn take_over_or_read(&self, stream: &str, consumer: &str) -> Result<Option<(String, String)>, RedisError> {
        let mut redis = self.redis.clone();
        let stale: redis::streams::StreamAutoClaimReply = redis::cmd("XAUTOCLAIM")
            .arg(&[stream, GROUP, consumer])
            .arg(self.stale.as_millis() as u64)
            .arg("0")
            .arg(&["COUNT", "1"])
            .query_async(&mut redis)
            .await?;
        if let Some(entry) = stale.claimed.into_iter().next() {
            return Ok(entry.get("job").map(|body: String| (entry.id, body)));
        }
        let reply: Option<redis::streams::StreamReadReply> = redis::cmd("XREADGROUP")
            .arg(&["GROUP", GROUP, consumer, "COUNT", "1", "STREAMS", stream, ">"])
            .query_async(&mut redis)
            .await?;
        let entry = reply.and_then(|reply| reply.keys.into_iter().next()).and_then(|key| key.ids.into_iter().next());
        Ok(entry.and_then(|entry| entry.get("job").map(|body: String| (entry.id, body))))
    }

    async fn make_group(&self, stream: &str) -> Result<(), QueueError> {
        let made: Result<(), RedisError> = redis::cmd("XGROUP")
            .arg(&["CREATE", stream, GROUP, "0", "MKSTREAM"])
            .query_async(&mut self.redis.clone())
            .await;
        match made {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn wake_delayed(&self, queue: &QueueName) -> Result<(), QueueError> {
        let keys = Keys::of(queue);
        let mut call = self.scripts.wake.prepare_invoke();
        call.key(keys.delayed()).key(keys.stream(Priority::Interactive)).arg(now_ms());
        call.invoke_async::<u64>(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// Tells Redis that the work goes on, so that nobody takes it over.
    pub async fn heartbeat(&self, claimed: &Claimed, consumer: &str) -> Result<(), QueueError> {
        let _: redis::Value = redis::cmd("XCLAIM")
            .arg(&[&*claimed.stream, GROUP, consumer, "0", &*claimed.entry, "JUSTID"])
            .query_async(&mut self.redis.clone())
            .await?;
        Ok(())
    }

    /// Done: gone from Redis.
    pub async fn acknowledge(&self, claimed: &Claimed) -> Result<(), QueueError> {
        let mut call = self.scripts.acknowledge.prepare_invoke();
        call.key(&claimed.stream).arg(GROUP).arg(&claimed.entry);
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

    /// Given up: a dead letter.
    pub async fn bury(&self, claimed: &Claimed) -> Result<(), QueueError> {
        let mut call = self.scripts.bury.prepare_invoke();
        call.key(&claimed.stream).key(Keys::of(&claimed.job.queue).dead());
        call.arg(GROUP).arg(&claimed.entry).arg(text(&claimed.job)?);
        call.invoke_async::<i64>(&mut self.redis.clone()).await?;
        Ok(())
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
        counts.failed = redis.llen(keys.dead()).await?;
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
        Ok(self.redis.clone().del(Keys::of(queue).paused()).await?)
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

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
