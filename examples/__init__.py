"""The sample day: some hundreds of messages in their real formats: four journeys and the traffic around them.

It is written for this product; ships, boxes, waybills and declarations are invented, their codes and check digits are
right. `day.deliveries()` gives the messages in the order in which their sources send them. One file tells one journey;
`messages/` holds one message of each format to look at.
"""
