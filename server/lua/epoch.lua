-- Put a value in the place of the one that was read, unless somebody else was quicker.
-- KEYS: epoch of the shard. ARGV: what was read ('' for nothing), the new value. 1: done. 0: read again.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
