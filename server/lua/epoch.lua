-- An engine names its epoch, which only ever rises.
-- KEYS: epoch of the shard. ARGV: epoch. Returns the highest one that was ever named.
local current = redis.call('GET', KEYS[1])
if current and tonumber(current) >= tonumber(ARGV[1]) then return current end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
