-- When each day was counted, by the clock of the server.
ALTER TABLE folded ADD COLUMN counted_at DateTime DEFAULT now()
