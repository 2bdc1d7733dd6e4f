-- Lets some sessions of a dead node expire.
--
-- KEYS: the set of its sessions in a partition, nodes. ARGV: the node; what the names of sessions begin with; how
--   many; whether to tell of them ('1'). Returns how many are done, or -1 as it lives; and of each that expires its id,
--   what is known of it, and after how many milliseconds it does.
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) >= time() then
  return { -1, {} }
end
local ids, left = redis.call('SPOP', KEYS[1], ARGV[3]), {}
for _, id in ipairs(ids) do
  local session = ARGV[2] .. id
  local known = redis.call('HMGET', session, 'node', 'outlives', 'state')
  if known[1] == ARGV[1] then
    redis.call('PEXPIRE', session, known[2])
    if ARGV[4] == '1' then
      left[#left + 1] = { id, known[3] or '', tonumber(known[2]) }
    end
  end
end
return { #ids, left }
