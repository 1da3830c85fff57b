"""What payment channels hand out: bills of WeChat Pay and Alipay, and bank transfers they took."""
