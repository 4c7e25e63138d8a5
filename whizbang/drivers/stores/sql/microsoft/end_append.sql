-- end_append: tells the first position.
SELECT @first
