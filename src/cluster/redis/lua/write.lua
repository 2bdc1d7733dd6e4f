-- Writes what is known of a session of a node, or finds that it is its own, unless another owns it.
--
-- KEYS: the session. ARGV: the session's id; what the names of the sets of nodes' sessions begin with; the node, and
--   the generation in which it owns it; then, if something is to be written, what is known, and for how many
--   milliseconds it outlives the node. Returns whether it is the node's.
local session, id, me, generation = KEYS[1], ARGV[1], ARGV[3], tonumber(ARGV[4])
local known = redis.call('HMGET', session, 'node', 'generation')
if known[1] then
  local last = tonumber(known[2])
  if last > generation or (last == generation and known[1] ~= me) then
    return 0
  end
  if known[1] ~= me then
    redis.call('SREM', ARGV[2] .. known[1], id)
  end
end
if #ARGV > 4 then
  redis.call('HSET', session, 'node', me, 'generation', ARGV[4], 'state', ARGV[5], 'outlives', ARGV[6])
elseif known[1] then
  redis.call('HSET', session, 'node', me, 'generation', ARGV[4])
else
  -- It was never written, or is forgotten: nobody else has it.
  return 1
end
redis.call('PERSIST', session)
redis.call('SADD', ARGV[2] .. me, id)
return 1
