"""What a model may call: functions declared, called, answered for, with their threads and loops."""
