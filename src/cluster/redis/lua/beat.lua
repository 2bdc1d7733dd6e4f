-- Tells that a node lives.
--
-- KEYS: nodes, infos. ARGV: the node; what it tells of itself; for how many microseconds it lives; whether it has told
--   that before. Returns whether it was dead meanwhile, what the living nodes tell of themselves, and the dead ones.
local now, lives = time(), tonumber(ARGV[3])
local last = tonumber(redis.call('HGET', KEYS[2], 'beat') or '0')
redis.call('HSET', KEYS[2], 'beat', text(now))
if now - last > lives / 2 then
  -- Nobody could beat: Redis was away, and who lived then has not died of that. It takes up to five seconds until it
  -- is connected again.
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], text(last), '+inf')) do
    redis.call('ZADD', KEYS[1], 'GT', text(now + math.max(lives, 5000000)), node)
  end
end
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
local was_dead = 0
if (lease and tonumber(lease) < now) or (not lease and ARGV[4] == '1') then
  was_dead = 1
end
redis.call('ZADD', KEYS[1], text(now + lives), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local alive = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], text(now), '+inf')) do
  alive[#alive + 1] = redis.call('HGET', KEYS[2], node) or nil
end
return { was_dead, alive, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. text(now)) }
