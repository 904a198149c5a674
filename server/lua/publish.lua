-- Hash, stream and version of one admin change, all or nothing.
-- KEYS: state, stream, version, generation. ARGV: generation, version, field, change, stream length.
-- 1: done. 0: not newer, nothing done. -1: Redis does not hold the state this publisher built.
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return -1 end
local current = tonumber(redis.call('GET', KEYS[3]))
local version = tonumber(ARGV[2])
if not current then return -1 end
if version <= current then return 0 end
if version ~= current + 1 then return -1 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*',
  'generation', ARGV[1], 'version', ARGV[2], 'change', ARGV[4])
redis.call('SET', KEYS[3], ARGV[2])
return 1
