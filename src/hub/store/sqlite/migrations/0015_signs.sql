-- What a spider saw in an answer besides its headers (JSON): cookies without their values, listings, error
-- pages; NULL: it does not say.
ALTER TABLE request_metadata ADD COLUMN signs TEXT;
