-- Makes a session a node's, if its owner is dead or has given it away.
--
-- KEYS: the session, nodes. ARGV: the session's id; what the names of the sets of nodes' sessions begin with; the
--   owner and its generation, as they were named; the node; whether the owner has given it away.
-- Returns what became of it: `gone`; `owned`, with the owner and its generation; `alive`; or `taken`, with the new
--   generation and what is known.
local session, id, from, to = KEYS[1], ARGV[1], ARGV[3], ARGV[5]
local known = redis.call('HMGET', session, 'node', 'generation', 'state')
if not known[1] or known[1] == '' then
  return { 'gone', '', 0 }
end
local generation = tonumber(known[2])
if known[1] ~= from or generation ~= tonumber(ARGV[4]) then
  return { 'owned', known[1], generation }
end
if ARGV[6] ~= '1' then
  local lease = redis.call('ZSCORE', KEYS[2], from)
  if lease and tonumber(lease) >= time() then
    return { 'alive', '', 0 }
  end
end
redis.call('HSET', session, 'node', to, 'generation', generation + 1)
redis.call('PERSIST', session)
redis.call('SREM', ARGV[2] .. from, id)
redis.call('SADD', ARGV[2] .. to, id)
return { 'taken', known[3] or '', generation + 1 }
