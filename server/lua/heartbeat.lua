-- A sign of life, only while Redis holds the state it vouches for.
-- KEYS: stream, version, generation. ARGV: generation, version, change, stream length.
-- 1: done. -1: Redis does not hold that state, or is behind it.
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return -1 end
local current = tonumber(redis.call('GET', KEYS[2]))
if not current or current < tonumber(ARGV[2]) then return -1 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*',
  'generation', ARGV[1], 'version', '0', 'change', ARGV[3])
return 1
