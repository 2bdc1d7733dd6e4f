-- Finds the channels of a pattern whose last message has a larger number than was named, if they are few.
--
-- KEYS: numbers, channels, names, sizes. ARGV: `channel`, `children` or `all`; the channel, or what the names begin
--   with; the number; how many are few; what the names of streams begin with.
-- Returns the largest number given out, that up to where channels are forgotten, whether there are too many, and of
--   each channel its name, its last number, and how many messages and bytes are kept.
local kind, base, after, few = ARGV[1], ARGV[2], '(' .. ARGV[3], tonumber(ARGV[4])
local numbers = redis.call('HMGET', KEYS[1], 'head', 'forgotten')
local found = {}
local function is_of(channel)
  return string.sub(channel, 1, #base) == base
    and (kind == 'all' or not string.find(channel, '/', #base + 1, true))
end
local function add(channel, last)
  if last and tonumber(last) > tonumber(ARGV[3]) then
    local count = redis.call('XLEN', ARGV[5] .. channel)
    local size = redis.call('HGET', KEYS[4], channel) or '0'
    found[#found + 1] = { channel, last, count, size }
  end
end

local is_too_many = 0
if kind == 'channel' then
  add(base, redis.call('ZSCORE', KEYS[2], base))
else
  -- Of what there is to look at, the shorter is taken.
  local low, high = '[' .. base, '[' .. base .. '\255'
  local recent = redis.call('ZCOUNT', KEYS[2], after, '+inf')
  local below = redis.call('ZLEXCOUNT', KEYS[3], low, high)
  if math.min(recent, below) > 8 * few then
    is_too_many = 1
  elseif recent <= below then
    local items = redis.call('ZRANGEBYSCORE', KEYS[2], after, '+inf', 'WITHSCORES')
    for index = 1, #items, 2 do
      if is_of(items[index]) then
        add(items[index], items[index + 1])
      end
    end
  else
    for _, channel in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], low, high)) do
      if is_of(channel) then
        add(channel, redis.call('ZSCORE', KEYS[2], channel))
      end
    end
  end
  if #found > few then
    is_too_many = 1
  end
  if is_too_many == 1 then
    found = {}
  end
end
return { tonumber(numbers[1] or 0), tonumber(numbers[2] or 0), is_too_many, found }
