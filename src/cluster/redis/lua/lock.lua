-- Takes a lock, or keeps it.
--
-- KEYS: the lock. ARGV: who takes it, and for how many milliseconds. Returns whether it is taken.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
