//! Sources that we go and fetch from. (What is sent to us comes in through the program's HTTP listener.)
