-- What is published only once. `once` says for how many milliseconds, which message of its request it is, and what tells
-- that from others: `60000 0 digest`.

-- Returns the number of the message when it was published first, and the one before; or -2, as another request was
-- sent under the key; or nothing.
local function first_place(key, once)
  local index, body = string.match(once, '^%d+ (%d+) (.+)$')
  local known = redis.call('HMGET', key, 'body', index)
  if known[1] and known[1] ~= body then
    return { -2, 0 }
  end
  if known[2] then
    local id, before = string.match(known[2], '^(%d+) (%d+)$')
    return { tonumber(id), tonumber(before) }
  end
end

-- Remembers a message that is published.
local function remember(key, once, id, before)
  local within, index, body = string.match(once, '^(%d+) (%d+) (.+)$')
  redis.call('HSET', key, 'body', body, index, id .. ' ' .. before)
  redis.call('PEXPIRE', key, within)
end

