-- The lease that an assessment was made under, and the day of the vulnerability database that it was made
-- with; NULL: none, or nobody said.
ALTER TABLE ryu_assessment ADD COLUMN lease_id BLOB;
ALTER TABLE ryu_assessment ADD COLUMN database_date TEXT;
