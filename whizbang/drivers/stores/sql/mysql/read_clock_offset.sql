-- read_clock_offset: how far the session's clock, which Django's Now() reads, is from UTC.
SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), CURRENT_TIMESTAMP()), @@session.time_zone
