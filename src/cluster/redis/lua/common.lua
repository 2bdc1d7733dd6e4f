-- What scripts over a channel's messages have in common.

-- Writes a number without an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- Returns the time in microseconds.
local function time()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000000 + tonumber(now[2])
end

-- Returns when a kept message came, in microseconds: what it says, or its number.
local function came(entry)
  local at = tonumber(string.match(entry[2][2], '^%d+ %d+ (%d+)'))
  if at == 0 then
    return tonumber(string.match(entry[1], '^%d+'))
  end
  return at
end

-- Lets go of a channel's oldest messages, at most `steps`: while there are more than `messages` of them, or more
-- bytes than `bytes`, or they came before `old`, or have numbers up to `up_to`. Returns how many, and their bytes.
local function cut(keys, channel, count, size, messages, bytes, old, up_to, steps)
  local gone, freed, last = {}, 0, nil
  local function goes(entry, id)
    return count - #gone > messages or size - freed > bytes or tonumber(id) <= up_to
      or (old > 0 and came(entry) < old)
  end
  local function take(entries)
    for _, entry in ipairs(entries) do
      local id, length = string.match(entry[1], '^(%d+)-(%d+)$')
      if not goes(entry, id) then
        return false
      end
      gone[#gone + 1] = entry[1]
      freed = freed + tonumber(length)
      last = id
    end
    return #entries > 0
  end
  -- Mostly there is one, or none.
  if take(redis.call('XRANGE', keys.stream, '-', '+', 'COUNT', 1)) and steps > 1 then
    take(redis.call('XRANGE', keys.stream, '(' .. gone[1], '+', 'COUNT', steps - 1))
  end
  if #gone > 0 then
    redis.call('XDEL', keys.stream, unpack(gone))
    redis.call('XDEL', keys.log, unpack(gone))
    redis.call('ZADD', keys.lost, last, channel)
    if #gone == count then
      redis.call('ZADD', keys.empty, last, channel)
    end
  end
  return #gone, freed
end

