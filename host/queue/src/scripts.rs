//! What Redis does in one step.

use redis::Script;

/// Whoever waits for work listens here; a push tells it.
pub const WAKE: &str = "latent:wake";

pub struct Scripts {
    /// Keys: interactive, backfill, waiting. Arguments: the key of two twins, the job, the number of its stream; and again.
    pub push: Script,
    /// Keys: interactive, backfill, delayed, paused, waiting, dead of a queue; and again. Arguments: group, consumer, silence in
    /// ms after which a claim is void, now in ms.
    pub claim: Script,
    /// Keys: stream, dead. Arguments: group, entry, the subject of the job.
    pub acknowledge: Script,
    /// Keys: stream, delayed. Arguments: group, entry, when, the job.
    pub retry: Script,
    /// Keys: stream, dead. Arguments: group, entry, the subject of the job, the job.
    pub bury: Script,
    /// Keys: stream, waiting. Arguments: group, entry, the job, the key of two twins, the number of the stream.
    pub give_back: Script,
    /// Keys: streams. Arguments: group, silence in ms.
    pub forget: Script,
}

impl Scripts {
    pub fn new() -> Self {
        Self {
            push: Script::new(PUSH),
            claim: Script::new(CLAIM),
            acknowledge: Script::new(ACKNOWLEDGE),
            retry: Script::new(RETRY),
            bury: Script::new(BURY),
            give_back: Script::new(GIVE_BACK),
            forget: Script::new(FORGET),
        }
    }
}

/// A job whose twin still waits is not pushed: the mark goes when the twin is claimed.
/// The mark is the number of its stream: one that somebody waits for is not held up by a twin among the backfill, which does nothing
/// when its turn comes.
const PUSH: &str = "
local pushed = 0
for at = 1, #ARGV, 3 do
    local stream = tonumber(ARGV[at + 2])
    if stream < tonumber(redis.call('HGET', KEYS[3], ARGV[at]) or 3) then
        redis.call('HSET', KEYS[3], ARGV[at], stream)
        redis.call('XADD', KEYS[stream], '*', 'job', ARGV[at + 1])
        pushed = pushed + 1
    end
end
if pushed > 0 then redis.call('PUBLISH', 'latent:wake', 'pushed') end
return pushed";

/// What is due of the delayed goes back to the stream of its own priority. Then, in this order: what a dead worker left, new
/// interactive work of all queues, backfill. Groups are made where Redis is new or was emptied.
/// Returns queue (from 1), stream, entry, job.
const CLAIM: &str = "
local group, consumer, stale, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local function grouped(stream, ...)
    local reply = redis.pcall(...)
    if type(reply) == 'table' and reply.err and string.find(reply.err, 'NOGROUP') then
        redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
        reply = redis.pcall(...)
    end
    if type(reply) == 'table' and reply.err then error(reply.err) end
    return reply
end
local function found(queue, stream, entry)
    local fields = entry[2]
    for at = 1, #fields, 2 do
        if fields[at] == 'job' then return { queue, stream, entry[1], fields[at + 1] } end
    end
    redis.call('XACK', stream, group, entry[1])
    redis.call('XDEL', stream, entry[1])
end
local open = {}
for queue = 1, #KEYS / 6 do
    local at = (queue - 1) * 6
    if redis.call('EXISTS', KEYS[at + 4]) == 0 then
        open[#open + 1] = queue
        for _, job in ipairs(redis.call('ZRANGEBYSCORE', KEYS[at + 3], '-inf', now, 'LIMIT', 0, 100)) do
            redis.call('ZREM', KEYS[at + 3], job)
            local read, decoded = pcall(cjson.decode, job)
            local backfill = read and type(decoded) == 'table' and decoded.priority == 'backfill'
            redis.call('XADD', KEYS[at + (backfill and 2 or 1)], '*', 'job', job)
        end
    end
end
for priority = 1, 2 do
    for _, queue in ipairs(open) do
        local stream = KEYS[(queue - 1) * 6 + priority]
        local left = grouped(stream, 'XAUTOCLAIM', stream, group, consumer, stale, '0', 'COUNT', 1)
        if #left[2] > 0 and left[2][1] then
            local claimed = found(queue, stream, left[2][1])
            if claimed then return claimed end
        end
        local fresh = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
        if fresh and fresh[1] and fresh[1][2][1] then
            local claimed = found(queue, stream, fresh[1][2][1])
            if claimed then return claimed end
        end
    end
end
return false";

/// What has failed before and is done now is no dead letter any more.
const ACKNOWLEDGE: &str = "
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])";

const RETRY: &str = "
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])";

const BURY: &str = "
if redis.call('HLEN', KEYS[2]) < 10000 then redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])";

const GIVE_BACK: &str = "
if redis.call('HSETNX', KEYS[2], ARGV[4], ARGV[5]) == 1 then
    redis.call('XADD', KEYS[1], '*', 'job', ARGV[3])
    redis.call('PUBLISH', 'latent:wake', 'pushed')
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
return redis.call('XDEL', KEYS[1], ARGV[2])";

/// A consumer that claims nothing and is silent is gone. One with claims stays until they are taken over.
const FORGET: &str = "
local forgotten = 0
for _, stream in ipairs(KEYS) do
    local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, ARGV[1])
    if not consumers.err then
        for _, consumer in ipairs(consumers) do
            local of = {}
            for at = 1, #consumer, 2 do of[consumer[at]] = consumer[at + 1] end
            if of.pending == 0 and of.idle > tonumber(ARGV[2]) then
                redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], of.name)
                forgotten = forgotten + 1
            end
        end
    end
end
return forgotten";
